import type { Redis } from "@upstash/redis/cloudflare";
import { type ColdLogRpc, type OpenCold, openCold } from "./audit/cold.ts";
import { ExportSlots } from "./audit/export-slots.ts";
import { type AuditLogs, createAuditLogs } from "./audit/log.ts";
import { type AuditReader, createAuditReader } from "./audit/reader.ts";
import { type AuditSigner, createAuditSigner } from "./audit/signer.ts";
import type { CachedToken } from "./auth/tokens.ts";
import { type Benchmarks, createBenchmarks } from "./benchmark/object.ts";
import { Breaker } from "./cache/breaker.ts";
import { type Account, MemoryBudget } from "./cache/budget.ts";
import { Caches } from "./cache/caches.ts";
import { createRedis } from "./cache/connection.ts";
import { Origin } from "./cache/origin.ts";
import { connectRedisStore, noCounts, type SharedCounts } from "./cache/redis.ts";
import type { Store } from "./cache/store.ts";
import { createReads, type Reads } from "./coordination/reads.ts";
import { createDatabase, type Database, ping } from "./db/client.ts";
import { withReplica } from "./db/replica.ts";
import { observed } from "./db/statistics.ts";
import { type Config, type Env, readEnvironment } from "./env.ts";
import type { EntryObject, EntryObjects } from "./idempotency/entry.ts";
import { createEntrySeals, type EntrySeals } from "./idempotency/seal.ts";
import { type Clock, steadyClock, systemClock } from "./lib/clock.ts";
import { createRest, type Rest, type RestBounds } from "./lib/pace.ts";
import { type Random, systemRandom } from "./lib/random.ts";
import { Semaphore } from "./lib/semaphore.ts";
import { sleep } from "./lib/sleep.ts";
import { type Background, type Within, within } from "./lib/within.ts";
import * as limits from "./limits.ts";
import { createLog, describeError, type Log } from "./observe/log.ts";
import { type AddressLimits, createAddressLimits } from "./ratelimit/address.ts";
import { createCoordinators } from "./ratelimit/coordinator.ts";
import { LeaseBook } from "./ratelimit/lease.ts";
import { Shedder } from "./ratelimit/shed.ts";
import { createEnvelope, type Envelope } from "./signing/envelope.ts";
import { type LoadedKey, type LoadedVersion, rememberKey } from "./signing/loaded.ts";

/** A document that anyone may read, ready to be sent. */
export interface PublicDocument<Body = string> {
	readonly body: Body;
	readonly etag: string;
}

/** What was read at some cost, as it is answered, and when that began. */
export interface KeptResult {
	readonly body: string;
	readonly at: number;
}

/** Everything that a handler or a job works with. Domain functions name the part of it that they need. */
export interface Services {
	readonly config: Config;
	readonly db: Database;
	readonly redis: Redis;
	/** Whether Postgres answers, which the caches go by. */
	readonly origin: Origin;
	/** Rows that this isolate does not remember, and what their shared store did. */
	readonly reads: Reads;
	readonly sharedCounts: SharedCounts;
	/** Static files: the documentation page. */
	readonly assets: Fetcher;
	readonly envelope: Envelope;
	/** The objects that keep the answers to requests with an Idempotency-Key. */
	readonly entries: EntryObjects;
	readonly entrySeals: EntrySeals;
	/** The objects of the audit log, and which of a tenant's shards this isolate writes to. */
	readonly audit: AuditLogs;
	readonly auditShard: (tenant: string) => number;
	/** What the log has, wherever it is; and the key that says so. */
	readonly auditReader: AuditReader;
	readonly auditSigner: AuditSigner;
	/** Where records go from Postgres, for one request: another worker has it. */
	readonly cold: () => OpenCold;
	readonly tokenCache: Store<CachedToken>;
	readonly keyCache: Store<LoadedKey>;
	readonly versionCache: Store<LoadedVersion>;
	readonly documentCache: Store<PublicDocument>;
	readonly resultCache: Store<KeptResult>;
	/** The caches together, as admins see them. */
	readonly caches: Caches;
	/** What the isolate's memory is held by. */
	readonly memory: MemoryBudget;
	/** The bodies of the requests that are served now. */
	readonly bodies: Account;
	/** Those who sign or verify many items. */
	readonly batches: Semaphore;
	readonly exports: ExportSlots;
	/** The tenants' coordinators: who announce and confirm changes. */
	readonly coordinator: ReturnType<typeof createCoordinators>;
	readonly leases: LeaseBook;
	readonly shedder: Shedder;
	/** For who shares the thread: a moment between this isolate's requests. */
	readonly betweenRequests: Rest;
	readonly addresses: AddressLimits;
	/** Drops what this isolate remembers of a tenant, its lease too, because something of it was changed. */
	readonly forgetTenant: (tenant: string, epoch?: number) => void;
	/** Bytes that this isolate accounts for. */
	readonly heldBytes: () => number;
	/** Waits with an end. A request has its own, of one timer. */
	readonly within: Within;
	/** A request has its own, which goes on after its answer. */
	readonly background: Background;
	/** The object that measures the service. */
	readonly benchmarks: Benchmarks;
	readonly clock: Clock;
	readonly random: Random;
	readonly log: Log;
}

const batchBounds = {
	permits: limits.batchesAtOnce,
	holdMs: limits.batchHoldMs,
	waitMs: limits.batchWaitMs,
	checkMs: limits.batchCheckMs,
};

const restBounds: RestBounds = {
	restRequests: limits.auditArchiveRestRequests,
	restMs: limits.auditArchiveRestMs,
	lookMs: limits.auditArchiveLookMs,
	looksMax: limits.auditArchiveLooks,
};

/** A lease that was alive before the clock was set back is not alive after it. */
const steadiness = { unseenMs: limits.leaseTtlMs, slackMs: limits.leaseGraceMs };

/** The composition root. Nothing in it belongs to a request, so an isolate keeps it for its life. */
export function createServices(
	env: Env,
	clock: Clock = systemClock,
	random: Random = systemRandom,
): Services {
	const config = readEnvironment(env);
	const coordinator = createCoordinators(env.COORDINATOR);
	const steady = steadyClock(clock, steadiness);
	const shedder = new Shedder(steady, random);
	const memory = new MemoryBudget((isShort) => shedder.press(isShort));
	const log = createLog(config.logLevel);
	const db = connectDatabase(config, steady, log);
	const origin = new Origin(steady, () => ping(db));
	const caches = new Caches({ clock: steady, random, origin }, memory);
	const stores = createStores(caches);
	const leases = new LeaseBook({
		clock: steady,
		random,
		ask: coordinator.ask,
		sleep,
		forgetTenant: (tenant) => caches.dropTenant(tenant),
		onAnswer: (outcome) => shedder.report(outcome),
	});
	// Isolates are many and their draws are even, so the shards are too.
	const [draw = 0] = random(1);
	const addresses = createAddressLimits(env.ADDRESSES, steadyClock(clock));
	registerHolders(memory, leases, addresses);
	const sharedCounts = noCounts();
	const shared = connectRedisStore(config, clock, random, sharedCounts);
	return {
		config,
		db,
		reads: createReads({
			...{ db, shared, origin, clock },
			epochNow: (tenant) => leases.sharedEpoch(tenant),
			load: (tenant, ask) => {
				const shards = leases.termNow(tenant)?.config.scaling_config.coordinator_shards ?? 1;
				return coordinator.load(tenant, shards, ask);
			},
			rememberer: (tenant) => {
				const since = stores.keyCache.now();
				return (warmed) => {
					for (const { name, row } of warmed) rememberKey(stores, tenant, name, row, since);
				};
			},
		}),
		origin,
		sharedCounts,
		redis: createRedis(config),
		assets: env.ASSETS,
		envelope: createEnvelope(config.keyEncryptionKeys, random),
		// The binding does not know its class; durable-objects/idempotency.ts has these methods.
		entries: (object) => env.IDEMPOTENCY.getByName(object) as unknown as EntryObject,
		entrySeals: createEntrySeals(config.keyEncryptionKeys, random),
		audit: createAuditLogs(env.AUDIT_LOG, shedder, steady),
		auditShard: (tenant) =>
			draw % (leases.termNow(tenant)?.config.scaling_config.audit_shards ?? 1),
		auditReader: createAuditReader({ namespace: env.AUDIT_LOG, coordinator, db }),
		auditSigner: createAuditSigner(config.keyEncryptionKeys),
		cold: coldOf(env.COLD_LOG),
		...stores,
		caches,
		memory,
		bodies: memory.account("bodies", limits.memoryBodiesBytes),
		batches: new Semaphore(batchBounds, steady),
		exports: exportsWithin(memory, steady),
		forgetTenant(tenant, epoch) {
			caches.dropTenant(tenant);
			leases.end(tenant, epoch);
		},
		heldBytes: () => memory.held,
		within,
		background: () => {},
		benchmarks: createBenchmarks(env.BENCHMARK),
		coordinator,
		leases,
		shedder,
		betweenRequests: createRest(restBounds, steady, shedder),
		addresses,
		clock,
		random,
		log,
	};
}

function exportsWithin(memory: MemoryBudget, clock: Clock): ExportSlots {
	const exports = new ExportSlots(clock);
	memory.register({
		name: "exports",
		shareBytes: limits.auditExportsAtOnce * limits.auditExportBytes,
		bytes: () => exports.heldBytes,
	});
	return exports;
}

/** The binding does not know its class; src/archive.ts has these methods. */
function coldOf(binding: Service): () => OpenCold {
	return () => openCold(binding as unknown as ColdLogRpc);
}

/** The primary, and a replica beside it for what may lag, where there is one. */
function connectDatabase(config: Config, clock: Clock, log: Log): Database {
	const { replicaUrl, neonGateway } = config;
	const primary = createDatabase(config);
	if (replicaUrl === null) return observed(primary, clock, log);
	const both = withReplica({
		primary,
		replica: createDatabase({ databaseUrl: replicaUrl, neonGateway }, limits.replicaTimeoutMs),
		gate: new Breaker(clock, {
			pauseMs: limits.replicaPauseMs,
			pauseMsMax: limits.replicaPauseMsMax,
		}),
		onFailure: (statement, error) =>
			log({ event: "replica_failed", statement, error: describeError(error) }),
	});
	return observed(both, clock, log);
}

/** What holds memory beside the caches and the bodies. What is held for a turn is the program's. */
function registerHolders(memory: MemoryBudget, leases: LeaseBook, addresses: AddressLimits): void {
	memory.register({
		name: "program",
		shareBytes: limits.memoryProgramBytes,
		bytes: () => limits.memoryProgramBytes,
	});
	memory.register({
		name: "leases",
		shareBytes: limits.memoryLeasesBytes,
		bytes: () => leases.bytes,
	});
	memory.register({
		name: "addresses",
		shareBytes: limits.memoryAddressesBytes,
		bytes: () => addresses.bytes(),
	});
}

function createStores(caches: Caches) {
	const times = {
		ttlMs: limits.cacheTtlMs,
		renewMs: limits.cacheRenewMs,
		keptMs: limits.cacheKeptMs,
	};
	const bounds = (entries: number, bytes: number) => ({ entries, bytes, ...times });
	const ofKeys = bounds(limits.cacheKeysEntries, limits.cacheKeysBytes);
	const ofTokens = bounds(limits.cacheTokensEntries, limits.cacheTokensBytes);
	const ofDocuments = {
		entries: limits.cacheDocumentsEntries,
		bytes: limits.cacheDocumentsBytes,
		ttlMs: limits.cacheDocumentsTtlMs,
		renewMs: limits.cacheDocumentsRenewMs,
	};
	const ofResults = {
		entries: limits.cacheResultsEntries,
		bytes: limits.cacheResultsBytes,
		ttlMs: limits.cacheResultsTtlMs,
		renewMs: limits.cacheResultsTtlMs,
	};
	return {
		tokenCache: caches.add<CachedToken>("tokens", ofTokens),
		keyCache: caches.add<LoadedKey>("keys", ofKeys),
		versionCache: caches.add<LoadedVersion>("versions", ofKeys),
		documentCache: caches.add<PublicDocument>("documents", ofDocuments),
		resultCache: caches.add<KeptResult>("results", ofResults),
	};
}

let isolateServices: Services | undefined;

/** The services of this isolate, made on its first request: every request of an isolate has the same bindings. */
export function servicesOf(env: Env): Services {
	isolateServices ??= createServices(env);
	return isolateServices;
}

import { keyIdOf, mainTenant as tenant } from "../../bench/skewed-data.ts";
import * as alerts from "../../src/db/alerts.ts";
import * as archives from "../../src/db/audit-archives.ts";
import { ensurePartitions, insertEvents } from "../../src/db/audit-events.ts";
import { dueOutbox, type OutboxNote, settleOutbox, withOutbox } from "../../src/db/audit-outbox.ts";
import { type EventQuery, selectEvents, storedChains } from "../../src/db/audit-reads.ts";
import * as benchmarks from "../../src/db/benchmarks.ts";
import { closingStatements, type Database, ping } from "../../src/db/client.ts";
import { firstId, lastId } from "../../src/db/columns.ts";
import * as config from "../../src/db/config.ts";
import { purgeEffects, shutEarlier, withEffect } from "../../src/db/effects.ts";
import * as keys from "../../src/db/keys.ts";
import { publishedKeys } from "../../src/db/published-keys.ts";
import * as sealed from "../../src/db/sealed.ts";
import * as spares from "../../src/db/spares.ts";
import { noteCaches, tenantExists } from "../../src/db/tenants.ts";
import * as tokens from "../../src/db/tokens.ts";
import * as usage from "../../src/db/usage.ts";
import { toHex, utf8 } from "../../src/lib/bytes.ts";
import { sha256 } from "../../src/lib/sha256.ts";
import * as limits from "../../src/limits.ts";
import { algorithmNames } from "../../src/model.ts";

const dayMs = 24 * 3600 * 1000;
const hourMs = dayMs / 24;
const today = Math.floor(Date.now() / dayMs) * dayMs;
const dayAgo = (days: number) => new Date(today - days * dayMs).toISOString().slice(0, 10);
const newId = (n: number) => `0190ffff-0000-7000-8000-${String(n).padStart(12, "0")}`;

const page = { after: firstId, size: limits.pageSizeDefault + 1 };
const deepPage = { after: keyIdOf(20_000), size: limits.pageSizeMax + 1 };
const newest = { after: lastId, size: limits.pageSizeDefault + 1 };
/** A key that few use, and one with ten versions. */
const rareKey = keyIdOf(8_000);
const rotatedKey = keyIdOf(15);

/** As a request with an Idempotency-Key runs it: marked, and with its record noted, in the same statement. */
function changing(db: Database): Database {
	const note: OutboxNote = {
		...{ id: newId(1), at: today, place: `${tenant}/weur/0`, requestId: newId(1) },
		...{ tokenId: keyIdOf(0), action: "change", address: "198.51.100.1", cost: 100 },
	};
	return withOutbox(withEffect(db, { id: newId(1), attempt: 1 }), note).db;
}

const decided = { id: keyIdOf(0), name: "key-0", state: "enabled", current_version: 1 } as const;
const noKeyFilter: keys.KeyFilter = { tags: {}, namePatterns: null };
const version = (n: number) => ({ version: n, publicJwk: null, kekId: "kek-2", sealed: "AAAA" });
const newToken: tokens.NewToken = {
	...{ id: newId(2), name: "new", role: "signer", hash: toHex(sha256(utf8("new"))) },
	...{ keyPatterns: null, createdBy: keyIdOf(0), expiresIn: null, rateLimit: null },
};

const anyEvent: EventQuery = {
	...{ targetId: null, targetName: null, tokenId: null, action: null, from: null, to: null },
	...{ before: null, limit: 50, scan: 50 },
};
const noon = today - dayMs + 12 * hourMs;
const anHour = { from: noon, to: noon + hourMs };

const archived = { tenant, day: dayAgo(60) };
const inWriting = { tenant, day: dayAgo(31) };

/** A batch of the log as an object moves it. */
function batch(count: number) {
	const numbers = Array.from({ length: count }, (_, n) => n);
	const kind = (n: number) => ({
		...{ tokenId: keyIdOf(n % 60), action: "sign", targetId: keyIdOf(n), targetName: `key-${n}` },
		...{ version: 1, algorithm: "Ed25519", address: "198.51.100.1", inputKind: "message" },
		...{ cost: 100, outcome: "ok" },
	});
	return {
		bytes: Uint8Array.from({ length: 128 * count }, (_, at) => (at * 31 + (at >> 7)) & 0xff),
		kinds: numbers.slice(0, 100).map(kind),
		kindOf: numbers.map((n) => n % 100),
		times: numbers.map((n) => noon + n),
		firstSequence: 1,
	};
}

const wholeUsage = { from: dayAgo(30), to: dayAgo(0), targetId: null, size: 51 };
const beyond = { day: "9999-12-31", targetId: lastId };

/**
 * What the service asks of Postgres, with parameters as they come: each under the name of its statement, and
 * behind a stroke what is different in it. A case may run other statements too.
 */
export const planCases: Readonly<Record<string, (db: Database) => Promise<unknown>>> = {
	"service.ping": ping,
	"changes.inTime": async (db) => {
		const { inTime } = closingStatements;
		await db.transaction([{ statement: inTime, params: [Date.now() + hourMs] }]);
	},

	"keys.byId": (db) => keys.findKey(db, tenant, rotatedKey),
	"keys.byName": (db) => keys.findKey(db, tenant, "key-15"),
	"keys.version": (db) => keys.findVersion(db, tenant, rotatedKey, 3),
	"keys.versions": (db) => keys.selectVersions(db, tenant, rotatedKey, { before: null, size: 51 }),
	"keys.versions/deep": (db) =>
		keys.selectVersions(db, tenant, rotatedKey, { before: 6, size: 51 }),
	"keys.insert": (db) =>
		keys.insertKey(changing(db), tenant, {
			...{ id: newId(3), name: "new", algorithm: "Ed25519", tags: { team: "a" } },
			...{ createdBy: keyIdOf(0), first: version(1) },
		}),
	"keys.rotate": (db) => keys.insertVersion(changing(db), tenant, decided, version(2)),
	"keys.update": (db) => keys.updateKey(changing(db), tenant, decided, { tags: {} }),
	"keys.move": (db) => keys.moveKey(changing(db), tenant, decided, { to: "disabled", days: 0 }),
	"keys.list": (db) => keys.selectKeys(db, tenant, noKeyFilter, page),
	"keys.list/deep": (db) => keys.selectKeys(db, tenant, noKeyFilter, deepPage),
	"keys.list/filtered": (db) =>
		keys.selectKeys(
			db,
			tenant,
			{ ...noKeyFilter, state: "enabled", tags: { team: "team-1" } },
			page,
		),
	"keys.list/nothing found": (db) =>
		keys.selectKeys(db, tenant, { ...noKeyFilter, tags: { team: "nobody" } }, page),
	"keys.list/rare tag": (db) =>
		keys.selectKeys(db, tenant, { ...noKeyFilter, tags: { service: "service-3000" } }, page),
	"keys.list/prefix": (db) =>
		keys.selectKeys(db, tenant, { ...noKeyFilter, namePrefix: "key-39999" }, page),
	"keys.published": (db) => publishedKeys(db, tenant, algorithmNames),
	"keys.due": (db) => keys.dueKeys(db, limits.purgeKeysPerRun),
	"keys.purge": (db) =>
		keys.purgeKeys(db, tenant, {
			ids: Array.from({ length: limits.purgeKeysPerRun }, (_, n) => newId(100 + n)),
			note: { at: today, place: `${tenant}/weur/0`, requestId: newId(4), action: "keys.purge" },
		}),

	"tokens.byHash": (db) => tokens.findToken(db, tenant, toHex(sha256(utf8("0/7")))),
	"tokens.insert": (db) => tokens.insertToken(changing(db), tenant, newToken),
	"tokens.list": (db) => tokens.selectTokens(db, tenant, deepPage),
	"tokens.revoke": (db) => tokens.markTokenRevoked(changing(db), tenant, keyIdOf(7)),

	"tenants.exists": (db) => tenantExists(db, tenant),
	"tenants.note": (db) => noteCaches(changing(db), tenant),

	"config.latest": (db) => config.latestConfig(db, tenant),
	"config.byVersion": (db) => config.configVersion(db, tenant, 7),
	"config.list": (db) => config.selectConfigVersions(db, tenant, { before: 500, size: 51 }),
	"config.insert": (db) =>
		config.insertConfigVersion(changing(db), tenant, {
			...{ version: 100_000, config: {}, createdBy: keyIdOf(0), note: null },
		}),

	"effects.shut": (db) => shutEarlier(db, tenant, { id: newId(5), attempt: 3 }),
	"effects.purge": (db) => purgeEffects(db, limits.purgeEffectsPerRun),

	"audit.insert": (db) =>
		insertEvents(db, { tenant, id: keyIdOf(0), region: "weur", shard: 0 }, batch(2_000)),
	"audit.ensurePartitions": (db) => ensurePartitions(db, limits.auditPartitionDaysAhead),
	"audit.slice": (db) => selectEvents(db, tenant, anyEvent),
	"audit.slice/key": (db) => selectEvents(db, tenant, { ...anyEvent, targetId: rareKey }),
	"audit.slice/key and hour": (db) =>
		selectEvents(db, tenant, { ...anyEvent, ...anHour, targetId: keyIdOf(0) }),
	"audit.slice/action and hour": (db) =>
		selectEvents(db, tenant, { ...anyEvent, ...anHour, action: "rotateKey", scan: 20_000 }),
	"audit.slice/behind a cursor": (db) =>
		selectEvents(db, tenant, { ...anyEvent, before: { at: noon, id: keyIdOf(0) } }),
	"audit.chains": (db) => storedChains(db, tenant),
	"outbox.settle": (db) => settleOutbox(db, 100),
	"outbox.due": (db) => dueOutbox(db, limits.auditOutboxWaitSeconds, limits.auditOutboxPerRun),

	"archives.oldest": (db) => archives.oldestDay(db, dayAgo(1)),
	"archives.close": (db) => archives.closeDay(db, "2000-01-01"),
	"archives.drop": (db) => archives.dropDay(db, "2000-01-01"),
	"archives.nextTenant": (db) => archives.unarchivedTenant(db, dayAgo(2)),
	"archives.begin": (db) => archives.openArchive(db, inWriting),
	"archives.page": (db) =>
		archives.archivePage(
			db,
			{ tenant, day: dayAgo(1) },
			{ id: firstId, at: noon },
			limits.auditArchivePageRecords,
		),
	"archives.addFile": (db) =>
		archives.addArchiveFile(db, inWriting, {
			...{ round: 0, part: 10, records: 10, afterId: newId(6), chains: [], file: {} },
		}),
	"archives.files": (db) => archives.archiveFiles(db, inWriting, 0),
	"archives.finish": (db) =>
		archives.finishArchive(db, inWriting, { round: 0, parts: 10 }, "00".repeat(32)),
	"archives.archived": (db) =>
		archives.archivedDays(db, tenant, { from: dayAgo(200), to: dayAgo(0) }, 31),
	"archives.expiredDays": (db) =>
		archives.expiredDays(db, tenant, { from: dayAgo(9_999), to: dayAgo(0) }, null, 100),
	"archives.expirable": (db) =>
		archives.expirableDays(db, dayAgo(0), limits.auditExpiredDaysPerRun),
	"archives.expire": (db) => archives.expireDay(changing(db), archived, dayAgo(0)),
	"archives.stillPast": (db) => archives.isStillPast(db, archived, dayAgo(0)),
	"archives.expired": (db) => archives.noteExpired(db, archived),

	"benchmarks.claimDue": (db) =>
		benchmarks.claimDue(db, { slackSeconds: 30, intervalSeconds: 300, atMost: 50 }),
	"benchmarks.insert": (db) => {
		const run = {
			id: newId(7),
			origin: "request",
			at: today,
			figures: {},
			unreachable: [],
		} as const;
		const { statement, params } = benchmarks.insertingRun(tenant, run);
		return changing(db).query(statement, params);
	},
	"benchmarks.byId": (db) => benchmarks.findRun(db, tenant, keyIdOf(70)),
	"benchmarks.list": (db) =>
		benchmarks.selectRuns(db, tenant, { ...newest, size: limits.benchmarkHistoryRuns }),
	"benchmarks.purge": (db) =>
		benchmarks.purgeRuns(db, limits.benchmarkKeptDays, limits.purgeBenchmarksPerRun),
	"benchmarks.insertToken": (db) =>
		benchmarks.insertBenchmarkToken(db, "tenant-9", newId(8), newToken.hash, "benchmarks"),

	"alerts.raise": async (db) => {
		const what = { id: newId(9), rule: "slow", subject: "new", value: 1, threshold: 2 };
		const call = alerts.raising(tenant, [{ ...what, bottleneck: null, advice: "look" }]);
		return db.transaction([
			call,
			alerts.resolving(tenant, [{ rule: "slow", subject: "signMs/3" }]),
		]);
	},
	"alerts.list": (db) => alerts.selectAlerts(db, tenant, newest, false),
	"alerts.list/open": (db) => alerts.selectAlerts(db, tenant, newest, true),
	"alerts.purge": (db) =>
		alerts.purgeAlerts(db, limits.benchmarkKeptDays, limits.purgeBenchmarksPerRun),

	"sealed.counts": sealed.countSealed,
	"sealed.under": async (db) => {
		const after = { tenant_id: tenant, key_id: keyIdOf(9_000), version: 1 };
		const rows = await sealed.sealedUnder(db, "kek-1", after, limits.rewrapPerSlice);
		const note = { at: today, place: `${tenant}/weur/0`, requestId: newId(5), tokenId: null };
		const own = { ...note, id: newId(6), action: "operator.rewrap", address: "", cost: 0 };
		const notes = { tenants: [tenant], notes: [own] };
		await sealed.replaceSealed(db, { from: "kek-1", to: "kek-2" }, rows, notes);
	},

	"spares.take": (db) => spares.takeSpare(db, 2048),
	"spares.count": spares.countSpares,
	"spares.insert": (db) =>
		spares.insertSpare(db, 2048, {
			...{
				id: newId(10),
				public_jwk: { kty: "RSA", n: "AAAA", e: "AQAB" },
				kek_id: "kek-2",
				sealed: "AAAA",
			},
		}),
	"spares.dropOld": (db) => spares.dropOldSpares(db, "kek-3"),

	"usage.list": (db) => usage.selectUsage(db, tenant, { ...wholeUsage, before: beyond }),
	"usage.list/key": (db) =>
		usage.selectUsage(db, tenant, { ...wholeUsage, targetId: rareKey, before: beyond }),
	"usage.list/all": (db) =>
		usage.selectUsage(db, tenant, { ...wholeUsage, targetId: usage.allTargets, before: beyond }),
	"usage.list/behind a cursor": (db) => {
		const before = { day: dayAgo(2), targetId: rareKey };
		return usage.selectUsage(db, tenant, { ...wholeUsage, before });
	},
	"usage.keys": (db) => usage.usedKeys(db, tenant, deepPage),
	"usage.purge": (db) => usage.purgeUsage(db, limits.usageKeptDays, limits.purgeUsagePerRun),
};

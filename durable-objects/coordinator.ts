import { DurableObject } from "cloudflare:workers";
import { connectRedisStore } from "../src/cache/redis.ts";
import { readConfig } from "../src/config/config.ts";
import { storedConfig, type TenantConfig } from "../src/config/schema.ts";
import { type LoadAsk, Loader, type LoadReply } from "../src/coordination/loader.ts";
import { createDatabase, type Database } from "../src/db/client.ts";
import { observed } from "../src/db/statistics.ts";
import { tenantExists } from "../src/db/tenants.ts";
import { type Env, readEnvironment } from "../src/env.ts";
import { type Clock, steadyClock, systemClock } from "../src/lib/clock.ts";
import { systemRandom } from "../src/lib/random.ts";
import { uuidv7 } from "../src/lib/uuid.ts";
import * as limits from "../src/limits.ts";
import { createLog } from "../src/observe/log.ts";
import {
	type ChainPlace,
	type CoordinatorRpc,
	createCoordinators,
} from "../src/ratelimit/coordinator.ts";
import { Ledger, type StoredBucket } from "../src/ratelimit/ledger.ts";
import type { Confirmation, LeaseAnswer, LeaseAsk } from "../src/ratelimit/messages.ts";
import { statementsOf } from "./statements.ts";

/** What holds for the whole tenant. Shards beside the first one have it for a while from that one. */
interface Tenancy {
	readonly epoch: number;
	readonly configVersion: number;
	readonly config: TenantConfig;
}

/** The chains of the tenant's audit log: those that no object has any more are remembered too. */
const chainsTable =
	"create table if not exists chains (id text primary key, place text not null) without rowid";

/**
 * A tenant's buckets, epoch and configuration version: one object per tenant, and more of them, with
 * a part of the buckets each, where the configuration says so. Shard 0 alone decides on the epoch.
 * An answer leaves the object only when what it rests on is stored (the platform's output gate).
 */
export class Coordinator extends DurableObject<Env> implements CoordinatorRpc {
	/** Of all that is stored here, too: an earlier life may have seen a later time. */
	readonly #clock: Clock;
	/** By how much that is ahead of the clock on the wall, as it is stored. */
	#ahead: number;
	readonly #db: Database;
	readonly #exec: ReturnType<typeof statementsOf>;
	readonly #loader: Loader;
	#tenancy: Tenancy | null = null;
	/** At another shard than the first one: whether that had a change announced when it lent the tenancy. */
	#wasChanging = false;
	/** Until when the tenancy holds; for ever at shard 0. */
	#tenancyEndsAt = 0;
	#loading: Promise<Tenancy | null> | null = null;
	#unknownUntil = 0;
	#ledger: Ledger | null = null;
	/** Readings of the configuration, counted: the last one that began is the newest. */
	#readsBegun = 0;
	#readsUsed = 0;

	constructor(ctx: DurableObjectState, env: Env) {
		super(ctx, env);
		this.#exec = statementsOf(ctx);
		const from = this.#hasTables() ? this.#latestStored() : 0;
		this.#ahead = from === 0 ? 0 : Number(this.#kept("ahead") ?? 0);
		this.#clock = steadyClock(systemClock, { from, ahead: this.#ahead });
		const config = readEnvironment(env);
		this.#db = observed(createDatabase(config), this.#clock, createLog(config.logLevel));
		this.#loader = new Loader({
			db: this.#db,
			shared: connectRedisStore(config, systemClock, systemRandom),
			clock: this.#clock,
			background: (work) => ctx.waitUntil(work),
		});
	}

	async lease(tenant: string, shard: number, ask: LeaseAsk): Promise<LeaseAnswer> {
		const tenancy = await this.#tenancyNow(tenant, shard, ask.epoch);
		if (!tenancy) return { kind: "unknown_tenant" };
		const { config } = tenancy;
		const ledger = this.#books();
		const now = this.#clock();
		if (!ledger.hasRoom(now)) return { kind: "overloaded" };
		const count = config.scaling_config.coordinator_shards;
		const lanes = ledger.lease(ask, config, { index: shard, count }, now);
		this.#store(ledger, now);
		const ttlMs = Math.min(limits.leaseTtlMs, this.#tenancyEndsAt - now);
		return answer(tenancy, this.#isChanging(shard), ask.configVersion, ttlMs, lanes);
	}

	async term(tenant: string, configVersion: number): Promise<LeaseAnswer> {
		const tenancy = await this.#tenancyNow(tenant, 0);
		if (!tenancy) return { kind: "unknown_tenant" };
		this.#keepLease(this.#clock());
		return answer(tenancy, this.#isChanging(0), configVersion, limits.leaseTtlMs, []);
	}

	async announce(tenant: string, kind: "state" | "config"): Promise<string> {
		if (!(await this.#tenancyOf(tenant, 0))) throw new Error("there is no such tenant");
		const id = uuidv7(this.#clock, systemRandom);
		const dueAt = this.#clock() + limits.changeTimeoutMs;
		this.#exec("insert into changes (id, kind, due_at) values (?, ?, ?)", id, kind, dueAt);
		if ((await this.ctx.storage.getAlarm()) === null) await this.#ringAt(dueAt);
		return id;
	}

	async confirm(tenant: string, change: string): Promise<Confirmation> {
		await this.#tenancyOf(tenant, 0);
		const [row] = this.#exec("select kind from changes where id = ?", change).toArray();
		// None when the alarm was faster. The commit may be younger than that epoch, so it moves again.
		const epoch = await this.#moveOn(tenant, [change], row?.kind !== "state");
		const lastLeaseAt = Number(this.#kept("lastLeaseAt") ?? 0);
		const endsAt = lastLeaseAt + limits.leaseMs;
		return { epoch, oldLeasesMs: Math.max(0, endsAt - this.#clock()) };
	}

	async withdraw(tenant: string, change: string): Promise<void> {
		if (await this.#tenancyOf(tenant, 0)) {
			this.#exec("delete from changes where id = ?", change);
		}
	}

	load(tenant: string, ask: LoadAsk): Promise<LoadReply> {
		return this.#loader.load(tenant, ask);
	}

	async chainBegan(place: string, chain: string): Promise<void> {
		this.#exec(chainsTable);
		this.#exec("insert or ignore into chains (id, place) values (?, ?)", chain, place);
	}

	async chains(): Promise<ChainPlace[]> {
		this.#exec(chainsTable);
		return this.#exec<{ id: string; place: string }>("select * from chains order by id").toArray();
	}

	/** Changes that nobody confirmed: whether they were committed is not known, so the epoch moves. */
	override async alarm(): Promise<void> {
		const tenant = String(this.#kept("tenant") ?? "");
		if (tenant === "" || !(await this.#tenancyOf(tenant, 0))) return;
		const now = this.#clock();
		const due = this.#exec("select id, kind from changes where due_at <= ?", now).toArray();
		const idsOf = (kind: string) =>
			due.filter((row) => row.kind === kind).map((row) => String(row.id));
		try {
			// Those first that need no database.
			for (const kind of ["state", "config"]) {
				const ids = idsOf(kind);
				if (ids.length > 0) await this.#moveOn(tenant, ids, kind === "config");
			}
		} finally {
			const [next] = this.#exec("select min(due_at) as at from changes").toArray();
			const at = next?.at;
			if (typeof at === "number") {
				await this.#ringAt(Math.max(at, now + limits.changeRetryMs));
			}
		}
	}

	/**
	 * As it may be lent: not under an epoch that a change of a key or token should have ended, however late the
	 * alarm is. A new configuration has to be read first, and waits for that.
	 */
	async #tenancyNow(tenant: string, shard: number, leastEpoch = 0): Promise<Tenancy | null> {
		const tenancy = await this.#tenancyOf(tenant, shard, leastEpoch);
		if (!tenancy || shard !== 0) return tenancy;
		const overdue = "select id from changes where kind = 'state' and due_at <= ?";
		const rows = this.#exec<{ id: string }>(overdue, this.#clock()).toArray();
		const ids = rows.map(({ id }) => id);
		if (ids.length > 0) await this.#moveOn(tenant, ids, false);
		return this.#tenancy;
	}

	/** Answers the new epoch, with the newest configuration where that has changed. All of it or nothing. */
	async #moveOn(tenant: string, changes: readonly string[], isConfig: boolean): Promise<number> {
		const nth = ++this.#readsBegun;
		const read = isConfig ? await readConfig(this.#db, tenant) : null;
		const before = this.#tenancy;
		if (!before) throw new Error("the coordinator has no tenancy");
		// Which is newer is told by when it was read: a database that was restored counts versions anew.
		const newer = read && nth > this.#readsUsed ? read : null;
		if (newer) this.#readsUsed = nth;
		const tenancy: Tenancy = {
			epoch: before.epoch + 1,
			configVersion: newer?.version ?? before.configVersion,
			config: newer?.config ?? before.config,
		};
		for (const id of changes) this.#exec("delete from changes where id = ?", id);
		this.#keep({ ...tenancy, config: JSON.stringify(tenancy.config) });
		this.#tenancy = tenancy;
		return tenancy.epoch;
	}

	/** The tenancy, loaded once; null when there is no such tenant. One load, however many wait. */
	async #tenancyOf(tenant: string, shard: number, leastEpoch = 0): Promise<Tenancy | null> {
		const now = this.#clock();
		const known = this.#tenancy;
		if (known && shard === 0) return known; // it alone decides on the epoch
		const isYoung = now < this.#tenancyEndsAt - limits.leaseTtlMs / 2;
		if (known && isYoung && known.epoch >= leastEpoch) return known;
		if (now < this.#unknownUntil) return null;
		if (this.#loading) {
			const joined = await this.#loading;
			// One that began before it was asked for may have come too early.
			if (!joined || shard === 0 || joined.epoch >= leastEpoch) return joined;
		}
		this.#loading ??= this.#load(tenant, shard).finally(() => {
			this.#loading = null;
		});
		return this.#loading;
	}

	async #load(tenant: string, shard: number): Promise<Tenancy | null> {
		const tenancy = shard === 0 ? await this.#loadOwn(tenant) : await this.#borrow(tenant);
		if (!tenancy) this.#unknownUntil = this.#clock() + limits.leaseTtlMs;
		this.#tenancy = tenancy;
		return tenancy;
	}

	/** From storage; a tenant's first time, from Postgres. Nothing is stored for a tenant that does not exist. */
	async #loadOwn(tenant: string): Promise<Tenancy | null> {
		this.#tenancyEndsAt = Number.POSITIVE_INFINITY;
		if (this.#hasTables()) {
			const config = storedConfig.parse(JSON.parse(String(this.#kept("config"))));
			const configVersion = Number(this.#kept("configVersion"));
			return { epoch: Number(this.#kept("epoch")), configVersion, config };
		}
		if (!(await tenantExists(this.#db, tenant))) return null;
		const { version: configVersion, config } = await readConfig(this.#db, tenant);
		// Not from one: should the storage ever be lost, epochs still only grow.
		const tenancy = { epoch: this.#clock(), configVersion, config };
		this.#createTables();
		this.#keep({ ...tenancy, tenant, config: JSON.stringify(config) });
		return tenancy;
	}

	/** From shard 0, for as long as a lease: what this shard grants ends with it. */
	async #borrow(tenant: string): Promise<Tenancy | null> {
		const askedAt = this.#clock();
		const known = this.#tenancy;
		const first = createCoordinators(this.env.COORDINATOR);
		const answer = await first.term(tenant, known?.configVersion ?? -1);
		if (answer.kind !== "lease") return null;
		const config = answer.config ?? known?.config;
		if (!config) throw new Error("shard 0 did not send the configuration");
		if (!this.#hasTables()) this.#createTables();
		this.#tenancyEndsAt = askedAt + answer.ttlMs;
		this.#wasChanging = answer.isChanging;
		return { epoch: answer.epoch, configVersion: answer.configVersion, config };
	}

	#books(): Ledger {
		if (this.#ledger) return this.#ledger;
		const rows = this.#exec("select id, level, at, quota, window_ms, held from buckets").toArray();
		const stored = rows.map((row): StoredBucket => {
			return {
				id: String(row.id),
				level: Number(row.level),
				at: Number(row.at),
				quota: Number(row.quota),
				windowMs: Number(row.window_ms),
				held: Number(row.held),
			};
		});
		const lastLeaseAt = Number(this.#kept("lastLeaseAt") ?? 0);
		const noneHeldFrom = lastLeaseAt + limits.leaseMs;
		this.#ledger = new Ledger(stored, noneHeldFrom);
		return this.#ledger;
	}

	#store(ledger: Ledger, now: number): void {
		const { changed, dropped } = ledger.takeChanges();
		for (const { id, level, at, quota, windowMs, held } of changed) {
			this.#exec(
				"insert or replace into buckets (id, level, at, quota, window_ms, held) values (?, ?, ?, ?, ?, ?)",
				id,
				level,
				at,
				quota,
				windowMs,
				held,
			);
		}
		for (const id of dropped) this.#exec("delete from buckets where id = ?", id);
		this.#keepLease(now);
	}

	/** Whether a change is announced of which it is not known what became of it. */
	#isChanging(shard: number): boolean {
		if (shard !== 0) return this.#wasChanging;
		return this.#exec("select 1 from changes limit 1").toArray().length > 0;
	}

	/** The alarm is of the clock on the wall. */
	#ringAt(time: number): Promise<void> {
		return this.ctx.storage.setAlarm(systemClock() + time - this.#clock());
	}

	/** A later life goes on from there, and has slept for as long as the wall says. */
	#keepLease(now: number): void {
		const ahead = Math.max(0, now - systemClock());
		if (ahead !== this.#ahead) this.#keep({ ahead });
		this.#ahead = ahead;
		this.#keep({ lastLeaseAt: now });
	}

	#latestStored(): number {
		const [row] = this.#exec("select max(due_at) as at from changes").toArray();
		const announcedAt = Number(row?.at ?? 0) - limits.changeTimeoutMs;
		return Math.max(announcedAt, Number(this.#kept("lastLeaseAt") ?? 0));
	}

	#hasTables(): boolean {
		const query = "select 1 from sqlite_master where type = 'table' and name = 'kept'";
		return this.#exec(query).toArray().length > 0;
	}

	#createTables(): void {
		this.#exec(`
			create table buckets (id text primary key, level integer not null, at integer not null,
				quota integer not null, window_ms integer not null, held integer not null) without rowid;
			create table changes (id text primary key, kind text not null, due_at integer not null) without rowid;
			create table kept (name text primary key, value) without rowid;
		`);
	}

	#kept(name: string): SqlStorageValue | undefined {
		return this.#exec("select value from kept where name = ?", name).toArray()[0]?.value;
	}

	#keep(values: Readonly<Record<string, string | number>>): void {
		for (const [name, value] of Object.entries(values)) {
			this.#exec("insert or replace into kept (name, value) values (?, ?)", name, value);
		}
	}
}

function answer(
	{ epoch, configVersion, config }: Tenancy,
	isChanging: boolean,
	knownVersion: number,
	ttlMs: number,
	lanes: Extract<LeaseAnswer, { kind: "lease" }>["lanes"],
): LeaseAnswer {
	const news = configVersion === knownVersion ? null : config;
	return { kind: "lease", epoch, isChanging, ttlMs, configVersion, config: news, lanes };
}

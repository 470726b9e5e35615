import type { Database, Statement } from "./client.ts";
import { iso, type Page } from "./columns.ts";

/** Why a run was made: its interval was over, or an admin asked for it. */
export type RunOrigin = "schedule" | "request";

/** A run as Postgres answers it. `figures` may be of another release. Times are ISO 8601 in UTC. */
export interface RunRow {
	readonly id: string;
	readonly origin: RunOrigin;
	readonly at: string;
	readonly figures: unknown;
	readonly unreachable: readonly string[];
}

export interface NewRun {
	readonly id: string;
	readonly origin: RunOrigin;
	/** Milliseconds since the epoch. */
	readonly at: number;
	readonly figures: object;
	readonly unreachable: readonly string[];
}

/** A tenant whose turn it is, and its newest configuration as it was stored. */
export interface DueRow {
	readonly tenant_id: string;
	readonly config: unknown;
}

const columns = `r.id, r.origin, ${iso("r.at", "at")}, r.figures, r.unreachable`;
const isOn = (config: string) => `${config} #>> '{benchmarking_config,enable_benchmarks}' = 'true'`;

export const statements = {
	// Whoever comes second waits for the first one's row, and then finds that its time is not over.
	claimDue: {
		name: "benchmarks.claimDue",
		with: `candidates as (
				select distinct c.tenant_id from config_versions c where ${isOn("c.config")}
			), due as (
				select c.tenant_id, v.config, v.seconds
				from candidates c
				cross join lateral (
					select v.config,
						coalesce((v.config #>> '{benchmarking_config,benchmark_interval_seconds}')::integer, $2) as seconds
					from config_versions v where v.tenant_id = c.tenant_id order by v.version desc limit 1
				) v
				left join benchmark_turns t on t.tenant_id = c.tenant_id
				where ${isOn("v.config")}
					and (t.tenant_id is null or t.begun_at <= now() - make_interval(secs => v.seconds - $1))
				order by t.begun_at nulls first, c.tenant_id limit $3
			), claimed as (
				insert into benchmark_turns as t (tenant_id, begun_at, interval_seconds)
				select tenant_id, now(), seconds from due
				on conflict (tenant_id) do update
					set begun_at = excluded.begun_at, interval_seconds = excluded.interval_seconds
					where t.begun_at <= now() - make_interval(secs => excluded.interval_seconds - $1)
				returning t.tenant_id
			)`,
		text: "select due.tenant_id, due.config from due join claimed using (tenant_id)",
	},
	insert: {
		name: "benchmarks.insert",
		effect: "id",
		target: { id: "id" },
		text: `insert into benchmark_runs as r (tenant_id, id, origin, at, figures, unreachable)
			values ($1, $2, $3, 'epoch'::timestamptz + $4::bigint * interval '1 millisecond', $5::jsonb, $6::text[])
			returning ${columns}`,
	},
	byId: {
		name: "benchmarks.byId",
		text: `select ${columns} from benchmark_runs r where r.tenant_id = $1 and r.id = $2`,
	},
	list: {
		name: "benchmarks.list",
		text: `select ${columns} from benchmark_runs r
			where r.tenant_id = $1 and r.id < $2 order by r.id desc limit $3`,
	},
	purge: {
		name: "benchmarks.purge",
		text: `delete from benchmark_runs where ctid = any(array(
				select ctid from benchmark_runs
				where at < now() - make_interval(days => $1) order by at limit $2))
			returning id`,
	},
	// Not by a request of the tenant's own: nobody has a token of it. There is one, of the newest key-encryption key.
	insertToken: {
		name: "benchmarks.insertToken",
		with: `others as (
				update tokens set revoked_at = now()
				where tenant_id = $1 and secret_hash <> decode($3, 'hex') and revoked_at is null
			)`,
		text: `insert into tokens (tenant_id, id, name, role, secret_hash, key_patterns)
			values ($1, $2, 'benchmarks', 'admin', decode($3, 'hex'), array[$4::text])
			on conflict (tenant_id, secret_hash) do update set revoked_at = null`,
	},
} as const satisfies Record<string, Statement>;

/** Gives a turn to tenants whose interval is over, those who wait for the longest first. */
export async function claimDue(
	db: Database,
	options: {
		readonly slackSeconds: number;
		/** Where a stored configuration has none. */
		readonly intervalSeconds: number;
		readonly atMost: number;
	},
): Promise<DueRow[]> {
	const { slackSeconds, intervalSeconds, atMost } = options;
	return db.query<DueRow>(statements.claimDue, [slackSeconds, intervalSeconds, atMost]);
}

/** The statement that stores a run, for a transaction. */
export function insertingRun(tenant: string, run: NewRun) {
	const { id, origin, at, figures, unreachable } = run;
	const params = [tenant, id, origin, at, JSON.stringify(figures), unreachable] as const;
	return { statement: statements.insert, params };
}

export async function findRun(db: Database, tenant: string, id: string): Promise<RunRow | null> {
	return (await db.query<RunRow>(statements.byId, [tenant, id]))[0] ?? null;
}

/** Newest first: those before the id `after`. */
export async function selectRuns(db: Database, tenant: string, page: Page): Promise<RunRow[]> {
	return db.query<RunRow>(statements.list, [tenant, page.after, page.size]);
}

/** How many. */
export async function purgeRuns(db: Database, days: number, atMost: number): Promise<number> {
	return (await db.query(statements.purge, [days, atMost])).length;
}

/** Makes this the tenant's one token: `hash` is its SHA-256 in hexadecimal. It is for one key. */
export async function insertBenchmarkToken(
	db: Database,
	tenant: string,
	id: string,
	hash: string,
	keyName: string,
): Promise<void> {
	await db.query(statements.insertToken, [tenant, id, hash, keyName]);
}

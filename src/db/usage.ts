import type { Database, Statement } from "./client.ts";
import { iso, lastId, type Page } from "./columns.ts";

/** What was done on a day, with one target or with all of them. Counts of PostgreSQL's bigint. */
export interface UsageRow {
	/** UTC, `YYYY-MM-DD`. */
	readonly day: string;
	/** A key's or token's id, zeros for none; or `allTargets`. */
	readonly target_id: string;
	readonly signatures: number;
	readonly invalid: number;
	readonly refused: number;
	readonly changes: number;
	/** In hundredths of a token. */
	readonly cost: number;
}

export interface UsageQuery {
	/** Both included. */
	readonly from: string;
	readonly to: string;
	/** Of one key or token, or `allTargets` together; null for a row of each. */
	readonly targetId: string | null;
	/** What the page before ended with: those before it are wanted. */
	readonly before: { readonly day: string; readonly targetId: string };
	readonly size: number;
}

/** A key with its newest version and its last use. Times are ISO 8601 in UTC. */
export interface UsedKeyRow {
	readonly id: string;
	readonly name: string;
	readonly algorithm: string;
	readonly state: string;
	readonly current_version: number;
	readonly rotated_at: string;
	/** The day (UTC) when it last signed, or refused a signature as not its own; null for none. */
	readonly last_used_on: string | null;
}

/** Stands for all targets together. */
export const allTargets = lastId;

export const statements = {
	list: {
		name: "usage.list",
		text: `select u.day::text, u.target_id, u.signatures::float8, u.invalid::float8, u.refused::float8,
				u.changes::float8, u.cost::float8
			from usage_daily u
			where u.tenant_id = $1 and u.day >= $2::date and u.day <= $3::date
				and (u.target_id = $4::uuid or ($4 is null and u.target_id <> '${allTargets}'))
				and (u.day, u.target_id) < ($5::date, $6::uuid)
			order by u.day desc, u.target_id desc limit $7`,
	},
	keys: {
		name: "usage.keys",
		text: `select k.id, k.name, k.algorithm, k.state, k.current_version,
				${iso("v.created_at", "rotated_at")},
				(select u.day::text from usage_daily u where u.tenant_id = k.tenant_id
					and u.target_id = k.id and u.signatures + u.invalid > 0
					order by u.day desc limit 1) as last_used_on
			from keys k
			join key_versions v on v.tenant_id = k.tenant_id and v.key_id = k.id
				and v.version = k.current_version
			where k.tenant_id = $1 and k.id > $2 and (k.delete_at is null or k.delete_at > now())
			order by k.id limit $3`,
	},
	// From tenant to tenant: an index by the day alone would be taken for the days of one tenant too.
	purge: {
		name: "usage.purge",
		text: `delete from usage_daily where ctid = any(array(
				select u.place from tenants t
				cross join lateral (
					select u.ctid as place from usage_daily u
					where u.tenant_id = t.id and u.day < (now() at time zone 'utc')::date - $1::int
					order by u.day limit $2) u
				limit $2))
			returning day`,
	},
} as const satisfies Record<string, Statement>;

/** The newest first. */
export async function selectUsage(
	db: Database,
	tenant: string,
	{ from, to, targetId, before, size }: UsageQuery,
): Promise<UsageRow[]> {
	const params = [tenant, from, to, targetId, before.day, before.targetId, size];
	return db.query<UsageRow>(statements.list, params);
}

/** In the order of their ids, after the id `after`. */
export async function usedKeys(db: Database, tenant: string, page: Page): Promise<UsedKeyRow[]> {
	return db.query<UsedKeyRow>(statements.keys, [tenant, page.after, page.size]);
}

/** Deletes days that were so many days ago; how many rows. */
export async function purgeUsage(db: Database, days: number, atMost: number): Promise<number> {
	return (await db.query(statements.purge, [days, atMost])).length;
}

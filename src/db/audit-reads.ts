import * as limits from "../limits.ts";
import { type StoredEventRow, storedEventColumns } from "./audit-events.ts";
import type { Database, Statement } from "./client.ts";

/** Which records are wanted. Times are milliseconds since the epoch; a null leaves all of them in. */
export interface EventFilter {
	/** Of the key or token that it was done to: its id, or its name as the record has it. */
	readonly targetId: string | null;
	readonly targetName: string | null;
	/** Who did it. */
	readonly tokenId: string | null;
	readonly action: string | null;
	/** Not before this. */
	readonly from: number | null;
	/** Before this. */
	readonly to: number | null;
}

export interface EventQuery extends EventFilter {
	/** An id, with its time. */
	readonly before: { readonly at: number; readonly id: string } | null;
	readonly limit: number;
	/** Rows that are looked at for them at the most. */
	readonly scan: number;
}

export interface EventSlice {
	readonly events: readonly StoredEventRow[];
	/** How many were looked at, and the id of the last of them. */
	readonly scanned: number;
	readonly lastId: string | null;
}

const time = (param: string) =>
	`'epoch'::timestamptz + ${param}::bigint * interval '1 millisecond'`;

export const statements = {
	// The first step has indexes that fit; what the second one leaves out has been paid for. Whatever the
	// filter is, no statement looks at more than its share, and it says how far it came.
	slice: {
		name: "audit.slice",
		text: `with scanned as materialized (
				select * from audit_events
				where tenant_id = $1 and ($2::uuid is null or target_id = $2)
					and ($3::bigint is null or at >= ${time("$3")})
					and ($4::bigint is null or at < ${time("$4")})
					and ($5::uuid is null or (at <= ${time("$6")} and (at, id) < (${time("$6")}, $5)))
				order by at desc, id desc limit $7
			), found as (
				select * from scanned
				where ($8::text is null or target_name = $8) and ($9::uuid is null or token_id = $9)
					and ($10::text is null or action = $10)
				order by at desc, id desc limit $11
			)
			select (select count(*)::int from scanned) as scanned,
				(select id from scanned order by at, id limit 1) as last_id,
				${storedEventColumns}
			from (select 1) one left join found e on true order by e.at desc, e.id desc`,
	},
	chains: {
		name: "audit.chains",
		text: `select id, region, shard from audit_chains where tenant_id = $1 order by id limit $2`,
	},
} as const satisfies Record<string, Statement>;

export interface StoredChain {
	readonly id: string;
	readonly region: string;
	readonly shard: number;
}

/** Chains of which records have come to Postgres. */
export function storedChains(db: Database, tenant: string): Promise<readonly StoredChain[]> {
	return db.query<StoredChain>(statements.chains, [tenant, limits.auditChainsRead]);
}

/** One at least, which tells how far it came; without an id where nothing was found. */
interface SliceRow extends Omit<StoredEventRow, "id"> {
	readonly scanned: number;
	readonly last_id: string | null;
	readonly id: string | null;
}

/** The newest records of a tenant that the query wants, found among a bounded number of rows. */
export async function selectEvents(
	db: Database,
	tenant: string,
	query: EventQuery,
): Promise<EventSlice> {
	const rows = await db.query<SliceRow>(statements.slice, [
		tenant,
		query.targetId,
		query.from,
		query.to,
		query.before?.id ?? null,
		query.before?.at ?? null,
		query.scan,
		query.targetName,
		query.tokenId,
		query.action,
		query.limit,
	]);
	const events = rows.flatMap((row) => (row.id === null ? [] : [{ ...row, id: row.id }]));
	const [first] = rows;
	return { events, scanned: first?.scanned ?? 0, lastId: first?.last_id ?? null };
}

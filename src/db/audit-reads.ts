import { fromBase64 } from "../lib/bytes.ts";
import type { Database, Statement } from "./client.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What is read of the records: nulls leave all of them in. */
export interface EventQuery {
	readonly targetId: string | null;
	readonly targetName: string | null;
	readonly tokenId: string | null;
	readonly action: string | null;
	/** Milliseconds since the epoch, as is the next. */
	readonly from: number | null;
	/** Before this. */
	readonly to: number | null;
	/** An id, with its time. */
	readonly before: { readonly at: number; readonly id: string } | null;
	readonly limit: number;
	/** Rows that are looked at for them at the most. */
	readonly scan: number;
}

/** A record in its place of a chain. */
export interface FoundEvent {
	readonly id: string;
	/** Milliseconds since the epoch. */
	readonly at: number;
	readonly requestId: string;
	readonly tokenId: string | null;
	readonly action: string;
	readonly targetId: string | null;
	readonly targetName: string;
	readonly version: number;
	readonly algorithm: string;
	readonly address: string;
	readonly inputKind: string | null;
	/** SHA-256, as are the next two; a null is none. */
	readonly input: Bytes | null;
	readonly signature: Bytes | null;
	readonly link: Bytes;
	readonly cost: number;
	readonly outcome: string;
	readonly sequence: number;
	readonly chain: string;
}

export interface EventSlice {
	readonly events: readonly FoundEvent[];
	/** How many were looked at, and the id of the last of them. */
	readonly scanned: number;
	readonly lastId: string | null;
}

const time = (param: string) =>
	`'epoch'::timestamptz + ${param}::bigint * interval '1 millisecond'`;

const statements = {
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
				f.id, (extract(epoch from f.at) * 1000)::bigint::text as at, f.request_id, f.token_id,
				f.action, f.target_id, f.target_name, f.version, f.algorithm, f.address, f.input_kind,
				encode(f.input, 'base64') as input, encode(f.signature, 'base64') as signature, f.cost,
				f.outcome, f.chain, f.sequence::text as sequence, encode(f.link, 'base64') as link
			from (select 1) one left join found f on true order by f.at desc, f.id desc`,
	},
} as const satisfies Record<string, Statement>;

interface SliceRow {
	readonly scanned: number;
	readonly last_id: string | null;
	readonly id: string | null;
	readonly at: string;
	readonly request_id: string;
	readonly token_id: string | null;
	readonly action: string;
	readonly target_id: string | null;
	readonly target_name: string;
	readonly version: number;
	readonly algorithm: string;
	readonly address: string;
	readonly input_kind: string | null;
	readonly input: string | null;
	readonly signature: string | null;
	readonly link: string;
	readonly cost: number;
	readonly outcome: string;
	readonly chain: string;
	readonly sequence: string;
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
	const events = rows.flatMap((row) => (row.id === null ? [] : [toEvent(row, row.id)]));
	const [first] = rows;
	return { events, scanned: first?.scanned ?? 0, lastId: first?.last_id ?? null };
}

function toEvent(row: SliceRow, id: string): FoundEvent {
	return {
		id,
		at: Number(row.at),
		requestId: row.request_id,
		tokenId: row.token_id,
		action: row.action,
		targetId: row.target_id,
		targetName: row.target_name,
		version: row.version,
		algorithm: row.algorithm,
		address: row.address,
		inputKind: row.input_kind,
		input: digestOf(row.input),
		signature: digestOf(row.signature),
		cost: row.cost,
		outcome: row.outcome,
		chain: row.chain,
		sequence: Number(row.sequence),
		link: digestOf(row.link) ?? new Uint8Array(),
	};
}

function digestOf(text: string | null) {
	return text === null ? null : fromBase64(text);
}

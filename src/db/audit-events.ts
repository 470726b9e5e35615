import { toBase64 } from "../lib/bytes.ts";
import type { Database, Statement } from "./client.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A chain of records, as its object knows it. */
export interface ChainRow {
	readonly tenant: string;
	readonly id: string;
	readonly region: string;
	readonly shard: number;
}

/** A record in its place of a chain. */
export interface EventRow {
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
}

const statements = {
	// Again and again until the answer was heard: a row that is there stays as it is.
	insert: {
		name: "audit.insert",
		with: `chain as (
				insert into audit_chains (tenant_id, id, region, shard) values ($1, $2, $3, $4)
				on conflict do nothing
			), digests as materialized (
				select decode($5, 'base64') as inputs, decode($6, 'base64') as signatures,
					decode($7, 'base64') as links
			)`,
		text: `insert into audit_events (tenant_id, at, id, request_id, token_id, action, target_id,
				target_name, version, algorithm, address, input_kind, input, signature, cost, outcome,
				chain, sequence, link)
			select $1, 'epoch'::timestamptz + r.at * interval '1 millisecond', r.id, r.request_id,
				r.token_id, r.action, r.target_id, r.target_name, r.version, r.algorithm, r.address,
				r.input_kind, nullif(substring(d.inputs from r.place for 32), '\\x${"00".repeat(32)}'),
				nullif(substring(d.signatures from r.place for 32), '\\x${"00".repeat(32)}'), r.cost,
				r.outcome, $2, r.sequence, substring(d.links from r.place for 32)
			from digests d, (
				select *, (32 * n - 31)::int as place
				from unnest($8::bigint[], $9::uuid[], $10::uuid[], $11::uuid[], $12::text[], $13::uuid[],
					$14::text[], $15::int[], $16::text[], $17::text[], $18::text[], $19::int[], $20::text[],
					$21::bigint[])
				with ordinality as u (at, id, request_id, token_id, action, target_id, target_name,
					version, algorithm, address, input_kind, cost, outcome, sequence, n)
			) r
			on conflict do nothing`,
	},
	// As a function of the owner's: the worker's role can not change the schema.
	ensurePartitions: {
		name: "audit.ensurePartitions",
		text: "select public.audit_ensure_partitions($1) as made",
	},
} as const satisfies Record<string, Statement>;

/** All of them or none; those that are there already stay as they are. */
export async function insertEvents(
	db: Database,
	chain: ChainRow,
	rows: readonly EventRow[],
): Promise<void> {
	const column = (read: (row: EventRow) => string | number | null) =>
		rows.map((row) => {
			const value = read(row);
			return value === null ? null : String(value);
		});
	await db.query(statements.insert, [
		chain.tenant,
		chain.id,
		chain.region,
		chain.shard,
		digests(rows, (row) => row.input),
		digests(rows, (row) => row.signature),
		digests(rows, (row) => row.link),
		column((row) => row.at),
		column((row) => row.id),
		column((row) => row.requestId),
		column((row) => row.tokenId),
		column((row) => row.action),
		column((row) => row.targetId),
		column((row) => row.targetName),
		column((row) => row.version),
		column((row) => row.algorithm),
		column((row) => row.address),
		column((row) => row.inputKind),
		column((row) => row.cost),
		column((row) => row.outcome),
		column((row) => row.sequence),
	]);
}

/** Makes the partitions of today and the days to come; how many there were not yet. */
export async function ensurePartitions(db: Database, daysAhead: number): Promise<number> {
	const [row] = await db.query<{ made: number }>(statements.ensurePartitions, [daysAhead]);
	return row?.made ?? 0;
}

/** One column of 32 bytes a row as one value, which is far smaller than a list of texts. */
function digests(rows: readonly EventRow[], read: (row: EventRow) => Bytes | null): string {
	const bytes = new Uint8Array(32 * rows.length);
	for (const [index, row] of rows.entries()) bytes.set(read(row) ?? [], 32 * index);
	return toBase64(bytes);
}

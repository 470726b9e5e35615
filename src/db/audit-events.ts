import { type Bytes, toBase64 } from "../lib/bytes.ts";
import * as limits from "../limits.ts";
import type { Database, Statement } from "./client.ts";

/** A chain of records, as its object knows it. */
export interface ChainRow {
	readonly tenant: string;
	readonly id: string;
	readonly region: string;
	readonly shard: number;
}

/** Records that follow each other in a chain. */
export interface PackedEvents {
	/** Of each record `packedEventBytes`: its id, its request's, and SHA-256 of input and signature (zeros for none), and its link. */
	readonly bytes: Bytes;
	/** What is the same in many of them, and which of these each one has. */
	readonly kinds: readonly EventKind[];
	readonly kindOf: readonly number[];
	/** Of each, in milliseconds since the epoch. */
	readonly times: readonly number[];
	readonly firstSequence: number;
}

export const packedEventBytes = 16 + 16 + 32 + 32 + 32;

export interface EventKind {
	readonly tokenId: string | null;
	readonly action: string;
	readonly targetId: string | null;
	readonly targetName: string;
	readonly version: number;
	readonly algorithm: string;
	readonly address: string;
	readonly inputKind: string | null;
	readonly cost: number;
	readonly outcome: string;
}

/** A record as it is read; digests are base64, and short enough for a line of it. */
export interface StoredEventRow {
	readonly id: string;
	readonly request_id: string;
	readonly token_id: string | null;
	readonly action: string;
	readonly target_id: string | null;
	readonly target_name: string;
	readonly version: number;
	readonly algorithm: string;
	readonly address: string;
	readonly input_kind: "message" | "digest" | null;
	readonly input: string | null;
	readonly signature: string | null;
	readonly cost: number;
	readonly outcome: string;
	readonly chain: string;
	readonly sequence: string;
	readonly link: string;
}

/** The columns of that, of a table or query `e`. */
export const storedEventColumns = `e.id, e.request_id, e.token_id, e.action, e.target_id, e.target_name,
	e.version, e.algorithm, e.address, e.input_kind, encode(e.input, 'base64') as input,
	encode(e.signature, 'base64') as signature, e.cost, e.outcome, e.chain,
	e.sequence::text as sequence, encode(e.link, 'base64') as link`;

const noDigest = `'\\x${"00".repeat(32)}'`;

export const statements = {
	// Again and again until the answer was heard: a row that is there stays as it is. The parts are cut
	// out before anything is joined: a sort would carry all the bytes along with each of the rows.
	insert: {
		name: "audit.insert",
		with: `chain as (
				insert into audit_chains (tenant_id, id, region, shard) values ($1, $2, $3, $4)
				on conflict do nothing
			), packed as materialized (select decode($5, 'base64') as bytes),
			cut as materialized (
				select u.at, u.kind + 1 as kind, u.n,
					encode(substring(bytes from place for 16), 'hex')::uuid as id,
					encode(substring(bytes from place + 16 for 16), 'hex')::uuid as request_id,
					nullif(substring(bytes from place + 32 for 32), ${noDigest}) as input,
					nullif(substring(bytes from place + 64 for 32), ${noDigest}) as signature,
					substring(bytes from place + 96 for 32) as link
				from packed, unnest($7::bigint[], $8::bigint[]) with ordinality as u (at, kind, n),
					lateral (select (${packedEventBytes} * (u.n - 1) + 1)::int as place) p
			)`,
		text: `insert into audit_events (tenant_id, at, id, request_id, token_id, action, target_id,
				target_name, version, algorithm, address, input_kind, input, signature, cost, outcome,
				chain, sequence, link)
			select $1, 'epoch'::timestamptz + r.at * interval '1 millisecond', r.id, r.request_id,
				k.token_id, k.action, k.target_id, k.target_name, k.version, k.algorithm, k.address,
				k.input_kind, r.input, r.signature, k.cost, k.outcome, $2, $6::bigint + r.n - 1, r.link
			from cut r join unnest($9::uuid[], $10::text[], $11::uuid[], $12::text[], $13::int[],
					$14::text[], $15::text[], $16::text[], $17::int[], $18::text[]) with ordinality
				as k (token_id, action, target_id, target_name, version, algorithm, address, input_kind,
					cost, outcome, n) on k.n = r.kind
			on conflict do nothing`,
	},
	// As a function of the owner's: the worker's role can not change the schema.
	ensurePartitions: {
		name: "audit.ensurePartitions",
		text: "select public.audit_ensure_partitions($1, $2) as made",
	},
} as const satisfies Record<string, Statement>;

/** All of them or none; those that are there already stay as they are. */
export async function insertEvents(
	db: Database,
	chain: ChainRow,
	{ bytes, kinds, kindOf, times, firstSequence }: PackedEvents,
): Promise<void> {
	const column = (read: (kind: EventKind) => string | number | null) =>
		kinds.map((kind) => {
			const value = read(kind);
			return value === null ? null : String(value);
		});
	await db.query(statements.insert, [
		chain.tenant,
		chain.id,
		chain.region,
		chain.shard,
		toBase64(bytes),
		firstSequence,
		times.map(String),
		kindOf.map(String),
		column((kind) => kind.tokenId),
		column((kind) => kind.action),
		column((kind) => kind.targetId),
		column((kind) => kind.targetName),
		column((kind) => kind.version),
		column((kind) => kind.algorithm),
		column((kind) => kind.address),
		column((kind) => kind.inputKind),
		column((kind) => kind.cost),
		column((kind) => kind.outcome),
	]);
}

/** What is done by one statement, and by how many. */
interface PartitionBounds {
	readonly sliceRecords: number;
	readonly calls: number;
}

const usualBounds: PartitionBounds = {
	sliceRecords: limits.auditPartitionSliceRecords,
	calls: limits.auditPartitionCallsPerRun,
};

/**
 * Makes the partitions from yesterday to `daysAhead` days from today, and of older days that records wait
 * for; how many. Where many wait, another run goes on.
 */
export async function ensurePartitions(
	db: Database,
	daysAhead: number,
	{ sliceRecords, calls }: PartitionBounds = usualBounds,
): Promise<number> {
	let made = 0;
	for (let call = 0; call < calls; call++) {
		const params = [daysAhead, sliceRecords];
		const [row] = await db.query<{ made: number | null }>(statements.ensurePartitions, params);
		if (row?.made === 0) break;
		made += row?.made ?? 0;
	}
	return made;
}

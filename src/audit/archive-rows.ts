import type { StoredEventRow } from "../db/audit-archives.ts";
import { fromBase64 } from "../lib/bytes.ts";
import { leafOf } from "./chain.ts";
import { encodeAppend, firstId, splitAppend } from "./record.ts";
import type { SourcedRecord } from "./source.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A record as Postgres has it. */
export function fromEventRow(tenant: string, row: StoredEventRow): SourcedRecord {
	const { chain } = row;
	return {
		record: {
			id: row.id,
			requestId: row.request_id,
			tenant,
			tokenId: row.token_id,
			action: row.action,
			target: {
				id: row.target_id,
				name: row.target_name,
				version: row.version,
				algorithm: row.algorithm,
			},
			address: row.address,
			number: numberIn(row.id),
			inputKind: row.input_kind,
			input: row.input === null ? null : bytesOf(row.input),
			signature: row.signature === null ? null : bytesOf(row.signature),
			cost: row.cost,
			outcome: row.outcome,
		},
		chain,
		sequence: Number(row.sequence),
		link: bytesOf(row.link),
	};
}

/** A record's number in its request, which its id has in the 12 bits after the version. */
export function numberIn(id: string): number {
	return Number.parseInt(id.slice(15, 18), 16);
}

/** The leaf of a record, made anew from its fields. */
export function leafAnew({ record }: SourcedRecord): Bytes {
	const head = { ...record, id: firstId(record.id) };
	const [encoded] = splitAppend(encodeAppend(head, [record]));
	if (!encoded) throw new Error("a record has no bytes");
	return leafOf(encoded);
}

/** Postgres breaks base64 into lines. */
function bytesOf(base64: string): Bytes {
	const bytes = fromBase64(base64.replaceAll("\n", ""));
	if (!bytes) throw new Error("Postgres answered what is not base64");
	return bytes;
}

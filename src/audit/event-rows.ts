import type { StoredEventRow } from "../db/audit-events.ts";
import { type Bytes, fromBase64 } from "../lib/bytes.ts";
import { numberOf } from "./record.ts";
import type { SourcedRecord } from "./source.ts";

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
			number: numberOf(row.id),
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

function bytesOf(base64: string): Bytes {
	const bytes = fromBase64(base64);
	if (!bytes) throw new Error("Postgres answered what is not base64");
	return bytes;
}

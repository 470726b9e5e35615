import { toBase64 } from "../lib/bytes.ts";
import { tokenParts } from "../ratelimit/policy.ts";
import { timeOf } from "./record.ts";
import type { RecordFilter, SourcedRecord } from "./source.ts";

/** A record as it is told: in the API, in an export, and to whoever verifies one. */
export function showRecord({ record, chain, sequence, link }: SourcedRecord) {
	const { inputKind, input, signature, target } = record;
	return {
		id: record.id,
		at: new Date(timeOf(record)).toISOString(),
		requestId: record.requestId,
		tokenId: record.tokenId,
		action: record.action,
		target: {
			id: target.id,
			name: target.name === "" ? null : target.name,
			version: target.version === 0 ? null : target.version,
			algorithm: target.algorithm === "" ? null : target.algorithm,
		},
		address: record.address === "" ? null : record.address,
		input: inputKind && input ? { kind: inputKind, sha256: toBase64(input) } : null,
		signatureSha256: signature && toBase64(signature),
		cost: record.cost / tokenParts,
		outcome: record.outcome,
		chain,
		sequence,
		link: toBase64(link),
	};
}

/** A filter as an export tells it; what is null left all of them in. */
export function showFilter(filter: RecordFilter) {
	const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString());
	return {
		key: filter.targetId ?? filter.targetName,
		token: filter.tokenId,
		action: filter.action,
		from: iso(filter.from),
		to: iso(filter.to),
	};
}

import { limits } from "../limits.ts";
import { type ChainHead, type ChainName, chainStart, leafOf } from "./chain.ts";
import { canonicalRecord, timeOf } from "./record.ts";
import type { RecordSource, SourcedRecord } from "./source.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What leads from a record to the head of its chain: who has these hashes needs no other record. */
export interface ChainPath {
	/** Before the record. */
	readonly previous: Bytes;
	/** Of the records after it, up to the head. */
	readonly leaves: readonly Bytes[];
}

/** null where the head is too far away: the path of a chain is as long as what follows. */
export async function pathToHead(
	source: RecordSource,
	{ record, chain, sequence }: SourcedRecord,
	head: ChainName & ChainHead,
): Promise<ChainPath | null> {
	if (head.sequence - sequence > limits.auditPathRecords) return null;
	const all = { targetId: null, targetName: null, tokenId: null, action: null, to: null };
	const from = timeOf(record) - limits.auditPathSpanMs;
	const filter = { ...all, from, tenant: record.tenant, limit: limits.auditPathRecords };
	const leaves = new Map<number, Bytes>();
	let previous = sequence === 1 ? chainStart(head).link : null;
	for (let before: string | null = null, page = 0; page < limits.auditPathPages; page++) {
		const { records, reached } = await source.read({ ...filter, before });
		for (const found of records) {
			if (found.chain !== chain) continue;
			if (found.sequence === sequence - 1) previous = found.link;
			const isAfter = found.sequence > sequence && found.sequence <= head.sequence;
			if (isAfter) leaves.set(found.sequence, leafOf(canonicalRecord(found.record)));
		}
		if (previous && leaves.size === head.sequence - sequence) {
			const inOrder = [...leaves].sort(([a], [b]) => a - b);
			return { previous, leaves: inOrder.map(([, leaf]) => leaf) };
		}
		if (reached === null) break;
		before = reached;
	}
	return null;
}

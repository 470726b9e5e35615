import { type Bytes, equalConstantTime } from "../lib/bytes.ts";
import * as limits from "../limits.ts";
import {
	ChainBroken,
	type ChainHead,
	type ChainMark,
	type ChainName,
	chainStart,
	checkLink,
	leafOf,
	linked,
} from "./chain.ts";
import { canonicalRecord } from "./record.ts";
import { firstIdAt, type RecordSource, type SourcedRecord, unfiltered } from "./source.ts";

/** What leads from a record to the head of its chain: who has these hashes needs no other record. */
export interface ChainPath {
	/** Before the record. */
	readonly previous: Bytes;
	/** Of the records after it, up to the head. */
	readonly leaves: readonly Bytes[];
}

/**
 * null where the head is too far away: the path of a chain is as long as what follows.
 * @throws ChainBroken where it does not lead there
 */
export async function pathToHead(
	source: RecordSource,
	found: SourcedRecord,
	head: ChainName & ChainHead,
): Promise<ChainPath | null> {
	if (head.sequence - found.sequence > limits.auditPathRecords) return null;
	return pathTo(source, found, head, { start: head, from: null, pages: limits.auditPathPages });
}

/**
 * Whether a record, with all that follow it, leads to what its chain's object remembers; false where some of them
 * are not near enough to be found, or gone.
 * @throws ChainBroken where they lead elsewhere
 */
export async function leadsToMark(
	source: RecordSource,
	found: SourcedRecord,
	mark: ChainMark,
	start: ChainName,
): Promise<boolean> {
	const from = firstIdAt(mark.at + limits.auditPathAheadMs);
	return (
		(await pathTo(source, found, mark, { start, from, pages: limits.auditMarkPages })) !== null
	);
}

interface Search {
	readonly start: ChainName;
	/** Behind all that is looked for; null for the newest. */
	readonly from: string | null;
	readonly pages: number;
}

async function pathTo(
	source: RecordSource,
	found: SourcedRecord,
	end: ChainHead,
	{ start, from, pages }: Search,
): Promise<ChainPath | null> {
	const { record, chain, sequence } = found;
	const count = end.sequence - sequence;
	if (count < 0) throw new ChainBroken(`there is no number ${sequence} of ${chain}`);
	const after = new Map<number, Bytes>();
	let previous = sequence === 1 ? chainStart(start).link : null;
	await eachPage(source, { tenant: record.tenant, from, pages }, (records) => {
		for (const one of records) {
			if (one.chain !== chain) continue;
			if (one.sequence === sequence - 1) previous = one.link;
			const isAfter = one.sequence > sequence && one.sequence <= end.sequence;
			if (isAfter) after.set(one.sequence, leafOf(canonicalRecord(one.record)));
		}
		return previous !== null && after.size === count;
	});
	if (!previous || after.size < count) return null;
	const leaves = [...after].sort(([a], [b]) => a - b).map(([, leaf]) => leaf);
	if (!equalConstantTime(follow(found, previous, leaves), end.link)) {
		throw new ChainBroken(
			`what follows record ${record.id} does not lead to number ${end.sequence} of ${chain}`,
		);
	}
	return { previous, leaves };
}

/** The newest first, until it is enough; no more pages than a request may read. */
async function eachPage(
	source: RecordSource,
	{ tenant, from, pages }: Pick<Search, "from" | "pages"> & { readonly tenant: string },
	isEnough: (records: readonly SourcedRecord[]) => boolean,
): Promise<void> {
	const filter = { ...unfiltered, tenant, limit: limits.auditPathRecords };
	for (let before = from, page = 0; page < pages; page++) {
		const { records, reached } = await source.read({ ...filter, before });
		if (isEnough(records) || reached === null) return;
		before = reached;
	}
}

/** The link that the leaves lead to from a record, which must be what its own link is of. */
function follow(found: SourcedRecord, previous: Bytes, leaves: readonly Bytes[]): Bytes {
	checkLink(found, leafOf(canonicalRecord(found.record)), previous);
	return leaves.reduce<ChainHead>(linked, found).link;
}

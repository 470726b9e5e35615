import { type Bytes, equalConstantTime, withLengths } from "../lib/bytes.ts";
import { sha256 } from "../lib/sha256.ts";
import type { EncodedRecord } from "./record.ts";
import type { SourcedRecord } from "./source.ts";

/** What a hash is of, as its first byte: no two kinds can be taken for each other (RFC 6962 section 2.1). */
const leafPrefix = Uint8Array.of(0x00);
const linkPrefix = Uint8Array.of(0x02);
const chainPrefix = Uint8Array.of(0x03);

/** Which records a chain has, in the order of one object's life. */
export interface ChainName {
	/** UUIDv7, new with every storage: one that was lost begins another chain, and never forks one. */
	readonly id: string;
	readonly tenant: string;
	readonly region: string;
	readonly shard: number;
}

/** Where a chain is: how many records it has, and the link of the last one. */
export interface ChainHead {
	readonly sequence: number;
	readonly link: Bytes;
}

/** A place of a chain that its object remembers by itself. No record up to there is much newer than `at`. */
export interface ChainMark extends ChainHead {
	/** Its id. */
	readonly chain: string;
	/** Whether the records up to there have left the object. */
	readonly isMoved: boolean;
	/** Milliseconds since the epoch. */
	readonly at: number;
}

/** What the first record is linked to: the chain's own name, so no record can be moved to another one. */
export function chainStart({ id, tenant, region, shard }: ChainName): ChainHead {
	const parts = withLengths(["edgesign-chain-v1", id, tenant, region, String(shard)]);
	return { sequence: 0, link: sha256(chainPrefix, parts) };
}

/** SHA-256 of 0x00 and the record's canonical bytes. */
export function leafOf({ head, item }: EncodedRecord): Bytes {
	return sha256(leafPrefix, head, item);
}

/** A record, or what leads from it to the head, is not what its chain was made of: it was changed since. */
export class ChainBroken extends Error {
	override readonly name = "ChainBroken";
}

/** @throws ChainBroken where the record's link is not made of the link before it and of its leaf */
export function checkLink(
	{ record, chain, sequence, link }: SourcedRecord,
	leaf: Bytes,
	previous: Bytes,
): void {
	if (equalConstantTime(linked({ sequence, link: previous }, leaf).link, link)) return;
	throw new ChainBroken(`link ${sequence} of ${chain} is not of record ${record.id}`);
}

/** The chain with one record more: its link is SHA-256 of 0x02, the link before it and the leaf. */
export function linked({ sequence, link }: ChainHead, leaf: Bytes): ChainHead {
	return { sequence: sequence + 1, link: sha256(linkPrefix, link, leaf) };
}

import { type Bytes, equalConstantTime } from "../lib/bytes.ts";
import { type ChainHead, leafOf, linked } from "./chain.ts";
import { type EncodedRecord, splitAppend } from "./record.ts";

/** Appends that were written together, in their order: one row of an object. */
export interface Block {
	/** Of its first record in the chain. */
	readonly sequence: number;
	readonly count: number;
	/** Of its last record. */
	readonly link: Bytes;
	/** Each append behind its length (4). */
	readonly bytes: Bytes;
}

/** A record in its place of the chain. */
export interface LinkedRecord extends EncodedRecord {
	readonly sequence: number;
	readonly link: Bytes;
}

const lengthBytes = 4;
/** Of a link. */
export const linkBytes = 32;

/** Appends as a block has them. */
export function joinAppends(appends: readonly Bytes[]): Bytes {
	const size = appends.reduce((sum, { length }) => sum + lengthBytes + length, 0);
	const joined = new Uint8Array(size);
	const view = new DataView(joined.buffer);
	let at = 0;
	for (const append of appends) {
		view.setUint32(at, append.length);
		joined.set(append, at + lengthBytes);
		at += lengthBytes + append.length;
	}
	return joined;
}

/** The appends of a block's bytes. Throws a RangeError where they are none. */
export function splitBlock(bytes: Bytes): Bytes[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const appends: Bytes[] = [];
	for (let at = 0; at < bytes.length; ) {
		const from = at + lengthBytes;
		at = from + view.getUint32(at);
		if (at > bytes.length) throw new RangeError("the bytes end too early");
		appends.push(bytes.subarray(from, at));
	}
	return appends;
}

/** Where the chain is behind a block. */
export function endOf({ sequence, count, link }: Block): ChainHead {
	return { sequence: sequence + count - 1, link };
}

/** The records of a block's bytes. Throws a RangeError where they are none. */
export function splitRecords(bytes: Bytes): EncodedRecord[] {
	return splitBlock(bytes).flatMap(splitAppend);
}

/** A block as it is made, with what it took to make it. */
export interface NewBlock extends Block {
	/** Of each of its records, one behind the other. */
	readonly links: Bytes;
}

/**
 * Puts a block's bytes behind the head of a chain.
 * @param records of the bytes, where they are known
 */
export function buildBlock(
	head: ChainHead,
	bytes: Bytes,
	records: readonly EncodedRecord[] = splitRecords(bytes),
): NewBlock {
	const links = new Uint8Array(linkBytes * records.length);
	let last = head;
	for (const [index, record] of records.entries()) {
		last = linked(last, leafOf(record));
		links.set(last.link, linkBytes * index);
	}
	const { sequence } = head;
	return { sequence: sequence + 1, count: records.length, link: last.link, bytes, links };
}

/**
 * The records of a block, linked to what is before it. Throws when they do not end in the block's link.
 * @param links of its records (of NewBlock), where they are known: then nothing is hashed
 */
export function readBlock(before: ChainHead, block: Block, links?: Bytes): LinkedRecord[] {
	const records: LinkedRecord[] = [];
	let last = before;
	for (const [index, { head, item }] of splitRecords(block.bytes).entries()) {
		const link = links?.subarray(linkBytes * index, linkBytes * (index + 1));
		last = link ? { sequence: last.sequence + 1, link } : linked(last, leafOf({ head, item }));
		records.push({ head, item, sequence: last.sequence, link: last.link });
	}
	const isWhole =
		block.sequence === before.sequence + 1 &&
		records.length === block.count &&
		equalConstantTime(last.link, block.link);
	if (!isWhole) throw new Error(`the block at ${block.sequence} does not follow its chain`);
	return records;
}

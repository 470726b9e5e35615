import { type Bytes, utf8 } from "../lib/bytes.ts";
import { uuidLength } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import { Reader, Writer } from "./wire.ts";

/** What all records of a request have in common. */
export interface RecordHead {
	/** UUIDv7 of the record number 0: when it was done is in it. From firstRecordId. */
	readonly id: string;
	readonly requestId: string;
	readonly tenant: string;
	/** Who did it; null for the service itself. */
	readonly tokenId: string | null;
	/** The operationId of the route. */
	readonly action: string;
	readonly target: Target;
	/** Of the caller; empty where it is not known. */
	readonly address: string;
}

/** What it was done with or to: a key, a token, or a version of the configuration. */
export interface Target {
	readonly id: string | null;
	/** Empty where it has none, or it is not known. */
	readonly name: string;
	/** Of the key or the configuration; 0 for none. */
	readonly version: number;
	/** Of the key; empty for none. */
	readonly algorithm: string;
}

/** What one record of a request says by itself. */
export interface RecordItem {
	/** Its place in the request, from 0. */
	readonly number: number;
	/** What `input` is the SHA-256 of; null where nothing was signed or verified. */
	readonly inputKind: "message" | "digest" | null;
	/** SHA-256 of the message, or of the digest that was sent in its place. */
	readonly input: Bytes | null;
	/** SHA-256 of the signature in its raw form. */
	readonly signature: Bytes | null;
	/** In hundredths of a token. */
	readonly cost: number;
	/** `ok`, `invalid` for a signature that did not verify, else the code of the refusal. */
	readonly outcome: string;
}

/** A whole record; its `id` has its number in it. */
export type AuditRecord = RecordHead & RecordItem;

/** A record as it is written: the bytes of its head, which others may share, and its own. */
export interface EncodedRecord {
	readonly head: Bytes;
	readonly item: Bytes;
}

const format = 1;
const inputKinds = [null, "message", "digest"] as const;
/** Of what heads have in common: the usual one. */
const commonCapacity = 320;
/** Of an append: how long its head is. */
const headLengthBytes = 2;
/** What an item has before its outcome. */
const itemFixedBytes = 2 + 1 + 32 + 32 + 4;

/** Where in a head the id is, with that of the request behind it, and what many heads have in common. */
export const headLayout = { id: 1, common: 33 } as const;
/** Where in an item these are; the outcome is behind the cost. */
export const itemLayout = { kind: 2, digests: 3, cost: 67 } as const;

/**
 * The records of one request as an append: `length of the head (2) | head | items`. A record's
 * canonical bytes are its head and its item behind each other (docs/storage.md).
 */
export function encodeAppend(head: RecordHead, items: readonly RecordItem[]): Bytes {
	const common = rememberedBytes(head, ofRequests);
	const headLength = headLayout.common + common.length;
	const writer = new Writer(
		items.reduce((sum, item) => sum + itemLengthOf(item), headLengthBytes + headLength),
	);
	writer.uint16(headLength);
	writeHead(writer, head, common);
	for (const item of items) writeItem(writer, item);
	return writer.done();
}

function writeHead(
	writer: Writer,
	{ id, requestId }: Pick<RecordHead, "id" | "requestId">,
	common: Bytes,
): void {
	writer.uint8(format);
	writer.uuid(id);
	writer.uuid(requestId);
	writer.bytes(common);
}

/** What heads have in common, by its text: who signs with one key again and again has one. */
type CommonHeads = Map<string, Bytes>;
const ofRequests: CommonHeads = new Map();
/** Of records that are read again: they may be of all callers, and push none out that calls now. */
const ofRecords: CommonHeads = new Map();

function rememberedBytes(head: RecordHead, known: CommonHeads): Bytes {
	const { target, tokenId, tenant, action, address } = head;
	const { id, version, name, algorithm } = target;
	// A line feed is in none of the parts before the last two, and tells those two apart by their length.
	const text = `${tokenId}\n${id}\n${version}\n${tenant}\n${action}\n${algorithm}\n${name.length}\n${name}${address}`;
	return known.get(text) ?? remember(known, text, commonBytes(head));
}

function remember(known: Map<string, Bytes>, text: string, bytes: Bytes): Bytes {
	if (known.size >= limits.auditHeadsRemembered) known.clear();
	known.set(text, bytes);
	return bytes;
}

function commonBytes({ target, tokenId, tenant, action, address }: RecordHead): Bytes {
	const writer = new Writer(commonCapacity);
	writer.uuid(tokenId);
	writer.uuid(target.id);
	writer.uint32(target.version);
	for (const part of [tenant, action, target.name, target.algorithm, address]) writer.text(part);
	return writer.done();
}

function writeItem(writer: Writer, item: RecordItem): void {
	writer.uint16(item.number);
	writer.uint8(inputKinds.indexOf(item.inputKind));
	writer.digest(item.input);
	writer.digest(item.signature);
	writer.uint32(item.cost);
	const outcome = outcomeBytes(item);
	writer.uint16(outcome.length);
	writer.bytes(outcome);
}

/** `ok`, `invalid` and codes of refusals: there are few of them. */
const outcomes = new Map<string, Bytes>();

function outcomeBytes({ outcome }: RecordItem): Bytes {
	if (outcome.length > limits.auditOutcomeChars) return utf8(outcome); // none of ours
	return outcomes.get(outcome) ?? remember(outcomes, outcome, utf8(outcome));
}

function itemLengthOf(item: RecordItem): number {
	return itemFixedBytes + 2 + outcomeBytes(item).length;
}

/** The records of an append, each in its bytes, in their order. Throws where the bytes are no append. */
export function splitAppend(append: Bytes): EncodedRecord[] {
	const reader = new Reader(append);
	const head = reader.bytes(reader.uint16());
	const records: EncodedRecord[] = [];
	while (!reader.isAtEnd) {
		const from = reader.at;
		reader.skip(itemFixedBytes);
		reader.skip(reader.uint16());
		records.push({ head, item: reader.since(from) });
	}
	return records;
}

/** The id of an append, of its head: that of its record number 0. */
export function idOfHead(head: Bytes): Bytes {
	return head.subarray(headLayout.id, headLayout.id + uuidLength);
}

/** When an append was made, in milliseconds since the epoch: the time of all its records. */
export function timeOfHead(head: Bytes): number {
	let time = 0;
	for (let at = 0; at < 6; at++) time = 256 * time + (head[headLayout.id + at] ?? 0);
	return time;
}

export function decodeRecord({ head, item }: EncodedRecord): AuditRecord {
	const common = decodeHead(head);
	const own = readItem(new Reader(item));
	return { ...common, ...own, id: numberedId(common.id, own.number) };
}

function decodeHead(bytes: Bytes): RecordHead {
	const reader = new Reader(bytes);
	const found = reader.uint8();
	if (found !== format) throw new RangeError(`a record of the format ${found}`);
	const [id, requestId, tokenId, targetId] = [1, 2, 3, 4].map(() => reader.uuid());
	if (!id || !requestId) throw new RangeError("a record without an id");
	const version = reader.uint32();
	const [tenant, action, name, algorithm, address] = [1, 2, 3, 4, 5].map(() => reader.text());
	return {
		id,
		requestId,
		tokenId: tokenId ?? null,
		tenant: tenant ?? "",
		action: action ?? "",
		target: { id: targetId ?? null, name: name ?? "", version, algorithm: algorithm ?? "" },
		address: address ?? "",
	};
}

function readItem(reader: Reader): RecordItem {
	return {
		number: reader.uint16(),
		inputKind: inputKinds[reader.uint8()] ?? null,
		input: reader.digest(),
		signature: reader.digest(),
		cost: reader.uint32(),
		outcome: reader.text(),
	};
}

/** Where a UUIDv7 has 12 bits that are the record's number: the digits after its version. */
const numberAt = 15;
const numberDigits = 3;

/** A new id for the record number 0 out of a UUIDv7. */
export function firstRecordId(uuid: string): string {
	return numberedId(uuid, 0);
}

function numberedId(uuid: string, number: number): string {
	if (number >= limits.recordsPerAppend) throw new RangeError("too many records in an append");
	const digits = number.toString(16).padStart(numberDigits, "0");
	return uuid.slice(0, numberAt) + digits + uuid.slice(numberAt + numberDigits);
}

/** Which of its request's records an id is of. */
export function numberOf(id: string): number {
	return Number.parseInt(id.slice(numberAt, numberAt + numberDigits), 16);
}

/** A record's own bytes, as they are hashed. */
export function canonicalRecord(record: AuditRecord): EncodedRecord {
	const common = rememberedBytes(record, ofRecords);
	const head = new Writer(headLayout.common + common.length);
	writeHead(head, { id: firstRecordId(record.id), requestId: record.requestId }, common);
	const item = new Writer(itemLengthOf(record));
	writeItem(item, record);
	return { head: head.done(), item: item.done() };
}

/** When it was done, in milliseconds since the epoch. */
export function timeOf({ id }: Pick<RecordHead, "id">): number {
	return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

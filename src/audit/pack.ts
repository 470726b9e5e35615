import { type EventKind, type PackedEvents, packedEventBytes } from "../db/audit-events.ts";
import type { Bytes } from "../lib/bytes.ts";
import type { LinkedRecord } from "./block.ts";
import { decodeRecord, headLayout, itemLayout, timeOfHead } from "./record.ts";

/** Records that follow each other in a chain, in the form in which Postgres takes them. */
export function packRecords(records: readonly LinkedRecord[]): PackedEvents {
	const bytes = new Uint8Array(packedEventBytes * records.length);
	const kinds = new Kinds();
	const kindOf: number[] = [];
	const times: number[] = [];
	for (const [index, record] of records.entries()) {
		const { head, item, link } = record;
		const at = packedEventBytes * index;
		bytes.set(head.subarray(headLayout.id, headLayout.common), at); // with that of the request
		const number = ((item[0] ?? 0) << 8) | (item[1] ?? 0);
		bytes[at + 6] = ((bytes[at + 6] ?? 0) & 0xf0) | (number >> 8);
		bytes[at + 7] = number & 0xff;
		bytes.set(item.subarray(itemLayout.digests, itemLayout.cost), at + 32);
		bytes.set(link, at + 96);
		kindOf.push(kinds.of(record));
		times.push(timeOfHead(head));
	}
	return { bytes, kinds: kinds.all, kindOf, times, firstSequence: records[0]?.sequence ?? 0 };
}

/** Most records differ from others in ids, digests and links only: the rest is told once. */
class Kinds {
	readonly all: EventKind[] = [];
	readonly #byText = new Map<string, number>();
	#last: LinkedRecord | null = null;
	#lastKind = 0;

	of(record: LinkedRecord): number {
		if (!this.#last || !isSameKind(record, this.#last)) this.#lastKind = this.#find(record);
		this.#last = record;
		return this.#lastKind;
	}

	#find(record: LinkedRecord): number {
		const { head, item } = record;
		const parts = [head.subarray(headLayout.common), item.subarray(itemLayout.cost)];
		const text = `${head[0]} ${item[itemLayout.kind]} ${parts.map((part) => String.fromCharCode(...part)).join(" ")}`;
		const known = this.#byText.get(text);
		if (known !== undefined) return known;
		const { target, id: _id, requestId: _requestId, ...rest } = decodeRecord(record);
		const { tokenId, action, address, inputKind, cost, outcome } = rest;
		const what = { targetId: target.id, targetName: target.name, version: target.version };
		const kind = { ...what, algorithm: target.algorithm, tokenId, action, address };
		this.#byText.set(text, this.all.length);
		return this.all.push({ ...kind, inputKind, cost, outcome }) - 1;
	}
}

function isSameKind(a: LinkedRecord, b: LinkedRecord): boolean {
	return (
		a.head[0] === b.head[0] &&
		(a.head === b.head || isSame(a.head, b.head, headLayout.common)) &&
		a.item[itemLayout.kind] === b.item[itemLayout.kind] &&
		isSame(a.item, b.item, itemLayout.cost)
	);
}

function isSame(a: Bytes, b: Bytes, from: number): boolean {
	if (a.length !== b.length) return false;
	for (let at = from; at < a.length; at++) if (a[at] !== b[at]) return false;
	return true;
}

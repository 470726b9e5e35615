import type { Bytes } from "../lib/bytes.ts";
import { uuidLength, uuidText, writeUuid } from "../lib/uuid.ts";

const encoder = new TextEncoder();
/** A byte order mark is of the text, as every other character is. */
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
/** UTF-8 has at most three bytes for each UTF-16 unit. */
const bytesPerUnit = 3;
const lengthBytes = 2;

/** Writes the fields of a record behind each other. Numbers are big-endian; a text is behind its length in bytes (2). */
export class Writer {
	#bytes: Bytes;
	#length = 0;

	/** With the right capacity nothing is copied in the end. */
	constructor(capacity: number) {
		this.#bytes = new Uint8Array(capacity);
	}

	uint8(value: number): void {
		this.#reserve(1);
		this.#bytes[this.#length++] = value;
	}

	uint16(value: number): void {
		this.uint8(value >>> 8);
		this.uint8(value);
	}

	uint32(value: number): void {
		this.uint16(value >>> 16);
		this.uint16(value);
	}

	bytes(value: Uint8Array): void {
		this.#reserve(value.length);
		this.#bytes.set(value, this.#length);
		this.#length += value.length;
	}

	/** Zeros stand for none. */
	uuid(value: string | null): void {
		this.#reserve(uuidLength);
		if (value !== null) writeUuid(value, this.#bytes, this.#length);
		this.#length += uuidLength;
	}

	/** 32 bytes; zeros stand for none. */
	digest(value: Uint8Array | null): void {
		if (value !== null) this.bytes(value);
		else this.#skip(32);
	}

	text(value: string): void {
		this.#reserve(lengthBytes + bytesPerUnit * value.length);
		const from = this.#length + lengthBytes;
		const { written } = encoder.encodeInto(value, this.#bytes.subarray(from));
		this.uint16(written);
		this.#length = from + written;
	}

	done(): Bytes {
		const { length } = this.#bytes;
		return this.#length === length ? this.#bytes : this.#bytes.slice(0, this.#length);
	}

	#skip(count: number): void {
		this.#reserve(count);
		this.#length += count;
	}

	#reserve(count: number): void {
		const needed = this.#length + count;
		if (needed <= this.#bytes.length) return;
		const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
		larger.set(this.#bytes);
		this.#bytes = larger;
	}
}

/** Reads what a Writer wrote. Throws a RangeError where the bytes end too early. */
export class Reader {
	readonly #bytes: Bytes;
	#at = 0;

	constructor(bytes: Bytes) {
		this.#bytes = bytes;
	}

	get at(): number {
		return this.#at;
	}

	get isAtEnd(): boolean {
		return this.#at >= this.#bytes.length;
	}

	uint8(): number {
		return this.#bytes[this.skip(1)] ?? 0;
	}

	uint16(): number {
		return this.uint8() * 2 ** 8 + this.uint8();
	}

	uint32(): number {
		return this.uint16() * 2 ** 16 + this.uint16();
	}

	bytes(count: number): Bytes {
		const from = this.skip(count);
		return this.#bytes.subarray(from, from + count);
	}

	/** What was written between a place and here. */
	since(from: number): Bytes {
		return this.#bytes.subarray(from, this.#at);
	}

	uuid(): string | null {
		const bytes = this.bytes(16);
		return isZero(bytes) ? null : uuidText(bytes);
	}

	digest(): Bytes | null {
		const bytes = this.bytes(32);
		return isZero(bytes) ? null : bytes;
	}

	text(): string {
		return decoder.decode(this.bytes(this.uint16()));
	}

	/** Where it was before. */
	skip(count: number): number {
		const from = this.#at;
		if (from + count > this.#bytes.length) throw new RangeError("the bytes end too early");
		this.#at += count;
		return from;
	}
}

function isZero(bytes: Uint8Array): boolean {
	return bytes.every((byte) => byte === 0);
}

import { uuidBytes, uuidText } from "../lib/uuid.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
/** A byte order mark is of the text, as every other character is. */
const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
/** UTF-8 has at most three bytes for each UTF-16 unit. */
const bytesPerUnit = 3;
const lengthBytes = 2;

/** Writes the fields of a record behind each other. Numbers are big-endian; a text is behind its length in bytes (2). */
export class Writer {
	#bytes: Bytes;
	#view: DataView;
	#length = 0;

	constructor(capacity: number) {
		this.#bytes = new Uint8Array(capacity);
		this.#view = new DataView(this.#bytes.buffer);
	}

	uint8(value: number): void {
		this.#reserve(1);
		this.#view.setUint8(this.#length, value);
		this.#length += 1;
	}

	uint16(value: number): void {
		this.#reserve(2);
		this.#view.setUint16(this.#length, value);
		this.#length += 2;
	}

	uint32(value: number): void {
		this.#reserve(4);
		this.#view.setUint32(this.#length, value);
		this.#length += 4;
	}

	bytes(value: Uint8Array): void {
		this.#reserve(value.length);
		this.#bytes.set(value, this.#length);
		this.#length += value.length;
	}

	/** Zeros stand for none. */
	uuid(value: string | null): void {
		if (value !== null) this.bytes(uuidBytes(value));
		else this.#skip(16);
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
		this.#view.setUint16(this.#length, written);
		this.#length = from + written;
	}

	done(): Bytes {
		return this.#bytes.slice(0, this.#length);
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
		this.#view = new DataView(larger.buffer);
	}
}

/** Reads what a Writer wrote. Throws a RangeError where the bytes end too early. */
export class Reader {
	readonly #bytes: Bytes;
	readonly #view: DataView;
	#at = 0;

	constructor(bytes: Bytes) {
		this.#bytes = bytes;
		this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}

	get at(): number {
		return this.#at;
	}

	get isAtEnd(): boolean {
		return this.#at >= this.#bytes.length;
	}

	uint8(): number {
		return this.#view.getUint8(this.#skip(1));
	}

	uint16(): number {
		return this.#view.getUint16(this.#skip(2));
	}

	uint32(): number {
		return this.#view.getUint32(this.#skip(4));
	}

	bytes(count: number): Bytes {
		const from = this.#skip(count);
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

	#skip(count: number): number {
		const from = this.#at;
		if (from + count > this.#bytes.length) throw new RangeError("the bytes end too early");
		this.#at += count;
		return from;
	}
}

function isZero(bytes: Uint8Array): boolean {
	return bytes.every((byte) => byte === 0);
}

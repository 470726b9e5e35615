import { type Bytes, concat } from "../lib/bytes.ts";

/**
 * The little of DER (X.690 section 10) that keys and ECDSA signatures need: definite lengths in
 * their shortest form, one-byte tags. A reader answers null for anything else.
 */
export interface Element {
	readonly tag: number;
	readonly body: Bytes;
}

export const tags = {
	integer: 0x02,
	bitString: 0x03,
	octetString: 0x04,
	sequence: 0x30,
	context0: 0xa0,
	context1: 0xa1,
	/** [1] IMPLICIT of a primitive type. */
	context1Primitive: 0x81,
} as const;

/** The elements that fill `der` from its first byte to its last. */
export function readElements(der: Bytes): readonly Element[] | null {
	const elements: Element[] = [];
	let offset = 0;
	while (offset < der.length) {
		const tag = der[offset] ?? 0;
		const header = readLength(der, offset + 1);
		if (header === null || (tag & 0x1f) === 0x1f) return null;
		const end = header.next + header.length;
		if (end > der.length) return null;
		elements.push({ tag, body: der.subarray(header.next, end) });
		offset = end;
	}
	return elements;
}

/** The body of the one element that `der` is, when it has this tag. */
export function readOnly(der: Bytes, tag: number): Bytes | null {
	const elements = readElements(der);
	const only = elements?.[0];
	return elements?.length === 1 && only?.tag === tag ? only.body : null;
}

/** The elements of the one SEQUENCE that `der` is. */
export function readSequence(der: Bytes): readonly Element[] | null {
	const body = readOnly(der, tags.sequence);
	return body && readElements(body);
}

/** Big-endian magnitude without leading zeros of an INTEGER that is not negative; zero is one zero byte. */
export function readUnsigned(element: Element | undefined): Bytes | null {
	if (element?.tag !== tags.integer) return null;
	const { body } = element;
	const [first, second] = body;
	if (first === undefined || first >= 0x80) return null;
	if (first !== 0 || second === undefined) return body;
	return second >= 0x80 ? body.subarray(1) : null;
}

/** The value of such an INTEGER of one byte: a version. */
export function readSmall(element: Element | undefined): number | null {
	const magnitude = readUnsigned(element);
	return magnitude?.length === 1 ? (magnitude[0] ?? null) : null;
}

/** The bytes of a BIT STRING that has whole bytes. */
export function readBits(element: Element | undefined, tag: number): Bytes | null {
	return element?.tag === tag && element.body[0] === 0 ? element.body.subarray(1) : null;
}

/** The same behind a tag of its own, [1] EXPLICIT. */
export function readExplicitBits({ tag, body }: Element): Bytes | null {
	const bits = tag === tags.context1 ? readOnly(body, tags.bitString) : null;
	return bits && readBits({ tag: tags.bitString, body: bits }, tags.bitString);
}

export function writeElement(tag: number, ...parts: readonly Uint8Array[]): Bytes {
	let length = 0;
	for (const part of parts) length += part.length;
	return concat(Uint8Array.of(tag, ...lengthBytes(length)), ...parts);
}

/** An INTEGER from a big-endian magnitude, which may have leading zeros. */
export function writeUnsigned(magnitude: Bytes): Bytes {
	let start = 0;
	while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
	const shortest = magnitude.subarray(start);
	const signByte = (shortest[0] ?? 0) >= 0x80 ? [0] : [];
	return writeElement(tags.integer, Uint8Array.from(signByte), shortest);
}

/** A BIT STRING of whole bytes. */
export function writeBits(bytes: Bytes): Bytes {
	return writeElement(tags.bitString, Uint8Array.of(0), bytes);
}

function readLength(der: Bytes, offset: number): { length: number; next: number } | null {
	const first = der[offset];
	if (first === undefined) return null;
	if (first < 0x80) return { length: first, next: offset + 1 };
	const byteCount = first - 0x80;
	if (byteCount !== 1 && byteCount !== 2) return null;
	let length = 0;
	for (let i = 1; i <= byteCount; i++) length = length * 256 + (der[offset + i] ?? 0);
	const shortest = byteCount === 1 ? length >= 0x80 : length >= 0x100;
	return shortest ? { length, next: offset + 1 + byteCount } : null;
}

function lengthBytes(length: number): number[] {
	if (length < 0x80) return [length];
	if (length < 0x100) return [0x81, length];
	if (length < 0x10000) return [0x82, length >> 8, length & 0xff];
	throw new RangeError(`a DER element of ${length} bytes is longer than any key or signature`);
}

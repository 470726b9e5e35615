/**
 * Text forms of bytes. Decoders answer null for anything that is not the one right spelling of
 * some bytes, and never throw: what they read comes from callers.
 */

/** Never over shared memory, which WebCrypto does not take. */
export type Bytes = Uint8Array<ArrayBuffer>;

const standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const urlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const invalid = 0xff;
const standardValues = valuesOf(standard);
const urlSafeValues = valuesOf(urlSafe);
const encoder = new TextEncoder();

/** workerd has the codecs of TC39's Uint8Array proposal, Node 24 has not. */
const native = typeof Uint8Array.fromBase64 === "function";
/** Up to here, which most signatures and digests are, the way to the platform's decoder is the longer one. */
const shortChars = 88;
const standardDecoding = { alphabet: "base64", lastChunkHandling: "loose" } as const;
const urlSafeDecoding = { alphabet: "base64url", lastChunkHandling: "loose" } as const;
const urlSafeEncoding = { alphabet: "base64url", omitPadding: true } as const;

/**
 * Base64 of RFC 4648 section 4 or 5, with padding or without it.
 * Null for a mix of the two alphabets, white space, wrong padding, or unused bits that are not zero.
 */
export function fromBase64(text: string): Bytes | null {
	const url = text.includes("-") || text.includes("_");
	const length = text.length;
	if (length === 0 || text.charCodeAt(length - 1) !== 0x3d) return decodeUnpadded(text, url);
	if (length % 4 !== 0) return null;
	const padding = text.charCodeAt(length - 2) === 0x3d ? 2 : 1;
	return decodeUnpadded(text.slice(0, length - padding), url);
}

/** Base64url without padding, the only form that JOSE knows (RFC 7515 section 2). */
export function fromBase64Url(text: string): Bytes | null {
	return decodeUnpadded(text, true);
}

/** Base64 of RFC 4648 section 4, padded. */
export function toBase64(bytes: Uint8Array): string {
	return native ? bytes.toBase64() : encodeByTable(bytes, standard, true);
}

/** Base64url of RFC 4648 section 5, without padding. */
export function toBase64Url(bytes: Uint8Array): string {
	return native ? bytes.toBase64(urlSafeEncoding) : encodeByTable(bytes, urlSafe, false);
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
	if (native) return bytes.toHex();
	let text = "";
	for (const byte of bytes) text += (byte < 16 ? "0" : "") + byte.toString(16);
	return text;
}

/** The bytes of hexadecimal that is well formed. */
export function fromHex(text: string): Bytes {
	if (native) return Uint8Array.fromHex(text);
	const bytes = new Uint8Array(text.length / 2);
	for (let i = 0; i < bytes.length; i++) {
		bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
	}
	return bytes;
}

export function utf8(text: string): Bytes {
	return encoder.encode(text) as Bytes; // never over shared memory
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
	let length = 0;
	for (const part of parts) length += part.length;
	const joined = new Uint8Array(length);
	let offset = 0;
	for (const part of parts) {
		joined.set(part, offset);
		offset += part.length;
	}
	return joined;
}

/** Texts as UTF-8, each behind its length as two bytes: no two lists have the same encoding. */
export function withLengths(parts: readonly string[]): Bytes {
	return concat(
		...parts.flatMap((part) => {
			const bytes = utf8(part);
			return [Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes];
		}),
	);
}

/** Compares in a time that depends on the lengths only, never on where the bytes differ. */
export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
	if (a.length !== b.length) return false;
	let difference = 0;
	for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
	return difference === 0;
}

function decodeUnpadded(text: string, url: boolean): Bytes | null {
	const rest = text.length % 4;
	if (rest === 1) return null;
	if (rest !== 0 && !unusedBitsAreZero(text, rest, url)) return null;
	const byteLength = Math.floor((text.length * 3) / 4);
	if (!native || text.length <= shortChars) {
		return decodeByTable(text, byteLength, url ? urlSafeValues : standardValues);
	}
	try {
		const bytes = Uint8Array.fromBase64(text, url ? urlSafeDecoding : standardDecoding);
		// The platform skips white space; each skipped character leaves the result short.
		return bytes.length === byteLength ? bytes : null;
	} catch {
		return null;
	}
}

/** The last character of a partial group carries 4 (after 2 characters) or 2 bits too many. */
function unusedBitsAreZero(text: string, rest: number, url: boolean): boolean {
	const values = url ? urlSafeValues : standardValues;
	const value = values[text.charCodeAt(text.length - 1)] ?? invalid;
	return value !== invalid && (value & (rest === 2 ? 0x0f : 0x03)) === 0;
}

function decodeByTable(text: string, byteLength: number, values: Uint8Array): Bytes | null {
	const bytes = new Uint8Array(byteLength);
	let bits = 0;
	let bitCount = 0;
	let offset = 0;
	for (let i = 0; i < text.length; i++) {
		const value = values[text.charCodeAt(i)] ?? invalid;
		if (value === invalid) return null;
		bits = ((bits << 6) | value) & 0xfff;
		bitCount += 6;
		if (bitCount >= 8) {
			bitCount -= 8;
			bytes[offset++] = bits >> bitCount;
		}
	}
	return bytes;
}

function encodeByTable(bytes: Uint8Array, alphabet: string, padded: boolean): string {
	let text = "";
	for (let i = 0; i < bytes.length; i += 3) {
		const left = bytes.length - i;
		const bits = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
		text += alphabet.charAt(bits >> 18) + alphabet.charAt((bits >> 12) & 63);
		if (left > 1) text += alphabet.charAt((bits >> 6) & 63);
		if (left > 2) text += alphabet.charAt(bits & 63);
		if (padded && left < 3) text += left === 2 ? "=" : "==";
	}
	return text;
}

function valuesOf(alphabet: string): Uint8Array {
	const values = new Uint8Array(128).fill(invalid);
	for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;
	return values;
}

import { createHash } from "node:crypto";
import { _SHA256 } from "@noble/hashes/sha2.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** From here on the platform is quicker than noble: it takes as long for ten bytes as for a thousand. */
const longFromBytes = 256;
const blockBytes = 64;
/** A one bit, and the length in bits. */
const paddingBytes = 1 + 8;

/**
 * Noble's SHA-256 of short messages, in memory that is there once. A hash of its own for each message, and
 * each of the platform's, takes memory outside of V8, which is freed late and dearly (docs/decisions/0017).
 */
class ShortSha256 extends _SHA256 {
	readonly #start = this.get();
	readonly #message = new Uint8Array(longFromBytes + blockBytes);
	readonly #view = new DataView(this.#message.buffer);

	of(parts: readonly Uint8Array[], length: number): Bytes {
		const end = blockBytes * Math.ceil((length + paddingBytes) / blockBytes);
		let at = 0;
		for (const part of parts) {
			this.#message.set(part, at);
			at += part.length;
		}
		this.#message[length] = 0x80;
		this.#view.setUint32(end - 4, 8 * length);
		this.set(...this.#start);
		for (let block = 0; block < end; block += blockBytes) this.process(this.#view, block);
		// The next one counts on zeros, and what was hashed may be a secret.
		this.#message.fill(0, 0, end);
		this.roundClean();
		return toBytes(this.get());
	}
}

/** Big-endian. Byte by byte: a view would take these few out of V8's own heap. */
function toBytes(words: readonly number[]): Bytes {
	const bytes = new Uint8Array(4 * words.length);
	let at = 0;
	for (const word of words) {
		bytes[at++] = word >>> 24;
		bytes[at++] = word >>> 16;
		bytes[at++] = word >>> 8;
		bytes[at++] = word;
	}
	return bytes;
}

const short = new ShortSha256();

/** SHA-256 (FIPS 180-4) of the parts, one behind the other, without a wait. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
	let length = 0;
	for (const part of parts) length += part.length;
	if (length < longFromBytes) return short.of(parts, length);
	const hash = createHash("sha256");
	for (const part of parts) hash.update(part);
	return new Uint8Array(hash.digest()); // a Buffer is not sliced as other bytes are
}

/** The same of what is too long to be held: part after part, then `done`, once. */
export function beginSha256() {
	const hash = createHash("sha256");
	return {
		add(part: Uint8Array): void {
			hash.update(part);
		},
		done: (): Bytes => new Uint8Array(hash.digest()),
	};
}

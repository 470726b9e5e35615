import { createHash } from "node:crypto";
import { SHA256 } from "@stablelib/sha256";
import type { Bytes } from "./bytes.ts";

/** From here on the platform is quicker: it takes as long for ten bytes as for a thousand. */
const longFromBytes = 512;

/** One for all, which begins anew with each message. */
const short = new SHA256();

/**
 * SHA-256 (FIPS 180-4) of the parts, one behind the other, without a wait. Short ones in memory that is there once:
 * each hash of the platform's is an object outside of V8, which is freed late and dearly (docs/decisions/0017).
 */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
	let length = 0;
	for (const part of parts) length += part.length;
	if (length < longFromBytes) {
		short.reset(); // should the one before have been broken off, by a stack that was full
		for (const part of parts) short.update(part);
		const digest = short.digest() as Bytes; // never over shared memory
		short.clean(); // what was hashed may be a secret
		return digest;
	}
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

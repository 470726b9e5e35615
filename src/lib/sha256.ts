import { createHash } from "node:crypto";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * SHA-256 (FIPS 180-4) of the parts, one behind the other, without a wait. For what is short: WebCrypto
 * makes a promise for each, and hashing in JavaScript takes twice as long (docs/decisions/0017).
 */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
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

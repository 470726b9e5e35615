import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, toHex, withLengths } from "../lib/bytes.ts";
import type { Random } from "../lib/random.ts";

/**
 * Randomness that every attempt at a request has the same: HMAC-SHA-256 of a counter under the
 * entry's seed. A token that an attempt made before it was cut off is thereby made again.
 * Never for IVs: two attempts that seal different secrets under one IV would give both away.
 */
export function seededRandom(seed: Bytes): Random {
	let block = 0;
	let rest: Uint8Array = new Uint8Array();
	return (byteCount) => {
		const bytes = new Uint8Array(byteCount);
		for (let filled = 0; filled < byteCount; ) {
			if (rest.length === 0) rest = derive(seed, "random", String(block++));
			const part = rest.subarray(0, byteCount - filled);
			bytes.set(part, filled);
			filled += part.length;
			rest = rest.subarray(part.length);
		}
		return bytes;
	};
}

/** Of the request's effect in Postgres, as a UUID (version 8, RFC 9562 section 5.8). */
export function effectIdOf(seed: Bytes): string {
	const bytes = derive(seed, "effect").subarray(0, 16);
	bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
	bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
	const hex = toHex(bytes);
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function derive(seed: Bytes, ...parts: readonly string[]): Uint8Array {
	return hmac(sha256, seed, withLengths(["edgesign-seed-v1", ...parts]));
}

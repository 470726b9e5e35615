import { schnorr, secp256k1 } from "@noble/curves/secp256k1.js";
import type { Bytes } from "../lib/bytes.ts";

/**
 * Everything on secp256k1, which WebCrypto does not have.
 * Loaded by a dynamic import on first use, inside a request. noble looks once, when it is loaded,
 * whether there is randomness to blind secrets with, and a Worker has none before its first request.
 */

/** Random bytes that `newScalar` takes: 16 more than the scalar, so that the bias is negligible. */
export const seedBytes = 48;

export function newScalar(seed: Bytes): Bytes {
	return secp256k1.utils.randomSecretKey(seed);
}

/** The uncompressed point of a scalar; null unless the scalar is from 1 to the order less 1. */
export function publicPoint(scalar: Bytes): Bytes | null {
	return secp256k1.utils.isValidSecretKey(scalar) ? secp256k1.getPublicKey(scalar, false) : null;
}

/** The uncompressed form of a point in either SEC 1 form; null when it is not on the curve. */
export function decompress(point: Bytes): Bytes | null {
	try {
		return secp256k1.Point.fromBytes(point).toBytes(false);
	} catch {
		return null;
	}
}

/**
 * One byte of recovery id, then r||s with a low s, by RFC 6979 hedged with `entropy` as its
 * section 3.6 allows. False leaves it deterministic; the service always hedges.
 */
export function signDigest(digest: Bytes, scalar: Bytes, entropy: Bytes | false): Bytes {
	const options = { prehash: false, format: "recovered", extraEntropy: entropy } as const;
	return secp256k1.sign(digest, scalar, options);
}

/** Takes a high s too: RFC 8812 does not forbid it. `signature` must be 64 bytes. */
export function verifyDigest(digest: Bytes, point: Bytes, signature: Bytes): boolean {
	return secp256k1.verify(signature, digest, point, anySDigest);
}

/** BIP-340 over m of any length, with 32 bytes of auxiliary randomness. */
export function signSchnorr(message: Bytes, scalar: Bytes, auxiliary: Bytes): Bytes {
	return schnorr.sign(message, scalar, auxiliary);
}

/** `signature` must be 64 bytes, `x` 32. */
export function verifySchnorr(message: Bytes, x: Bytes, signature: Bytes): boolean {
	return schnorr.verify(signature, message, x);
}

const anySDigest = { prehash: false, lowS: false } as const;

import { p256, p384, p521 } from "@noble/curves/nist.js";
import type { Bytes } from "../lib/bytes.ts";

/**
 * ECDSA over a digest on the NIST curves, which WebCrypto can not do: it always hashes.
 * Loaded by a dynamic import on first use, inside a request. noble looks once, when it is loaded,
 * whether there is randomness to blind secrets with, and a Worker has none before its first request.
 */
const implementations = { "P-256": p256, "P-384": p384, "P-521": p521 } as const;
export type NistCurve = keyof typeof implementations;

/**
 * r||s by RFC 6979, hedged with `entropy` as its section 3.6 allows. False leaves it deterministic,
 * as the RFC's own vectors are; the service always hedges.
 */
export function signDigest(
	curve: NistCurve,
	digest: Bytes,
	scalar: Bytes,
	entropy: Bytes | false,
): Bytes {
	const options = { prehash: false, lowS: false, extraEntropy: entropy };
	return implementations[curve].sign(digest, scalar, options);
}

/** `signature` must have the right length; `point` is in SEC 1 form. */
export function verifyDigest(
	curve: NistCurve,
	digest: Bytes,
	point: Bytes,
	signature: Bytes,
): boolean {
	return implementations[curve].verify(signature, digest, point, anySDigest);
}

const anySDigest = { prehash: false, lowS: false } as const;

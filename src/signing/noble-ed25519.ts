import { ed25519 } from "@noble/curves/ed25519.js";
import type { Bytes } from "../lib/bytes.ts";

/**
 * Whether these are the bytes of a point that can be somebody's public key: on the curve, in
 * canonical form (RFC 8032 section 5.1.3) and not of small order, where anyone could sign.
 * WebCrypto does not look.
 */
export function isPublicKey(bytes: Bytes): boolean {
	try {
		return !ed25519.Point.fromBytes(bytes, false).isSmallOrder();
	} catch {
		return false;
	}
}

import { type Bytes, concat, utf8 } from "./bytes.ts";
import type { Random } from "./random.ts";

const ivBytes = 12;
const tagBytes = 16;
const uses = ["encrypt", "decrypt"] as const;

/**
 * AES-256-GCM (NIST SP 800-38D): `IV (12) | ciphertext and tag (16)`. The IV is random, which is sound up to
 * 2^32 times under one key.
 */
export async function seal(
	key: CryptoKey,
	plain: Bytes,
	additionalData: Bytes,
	random: Random,
): Promise<Bytes> {
	const iv = random(ivBytes);
	const how = { name: "AES-GCM", iv, additionalData };
	return concat(iv, new Uint8Array(await crypto.subtle.encrypt(how, key, plain)));
}

/** null for what does not open: it was sealed under another key or with other data, changed, or cut off. */
export async function unseal(
	key: CryptoKey,
	sealed: Bytes,
	additionalData: Bytes,
): Promise<Bytes | null> {
	if (sealed.length < ivBytes + tagBytes) return null;
	const how = { name: "AES-GCM", iv: sealed.subarray(0, ivBytes), additionalData };
	try {
		return new Uint8Array(await crypto.subtle.decrypt(how, key, sealed.subarray(ivBytes)));
	} catch {
		return null;
	}
}

/** The key itself, for `seal` and `unseal`. */
export function importKey(secret: Bytes): Promise<CryptoKey> {
	return crypto.subtle.importKey("raw", secret, "AES-GCM", false, [...uses]);
}

/** A secret that no one seals with, but with what is derived of it. */
export function importBase(secret: Bytes): Promise<CryptoKey> {
	return crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
}

/** A key of its own for what `info` says (HKDF with SHA-256, RFC 5869). */
export function deriveKey(base: CryptoKey, info: Bytes): Promise<CryptoKey> {
	const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
	return crypto.subtle.deriveKey(how, base, { name: "AES-GCM", length: 256 }, false, [...uses]);
}

/** What stands before something sealed, and says how: `form (1) | length of the id (1) | id of the key`. */
export function writeHead(form: number, keyId: string): Bytes {
	const id = utf8(keyId);
	return concat(Uint8Array.of(form, id.length), id);
}

/** Of anything at all: what is no head has a form or a key that nobody knows. */
export function readHead(bytes: Bytes) {
	const end = 2 + (bytes[1] ?? 0);
	const head = bytes.subarray(0, end);
	const keyId = new TextDecoder().decode(head.subarray(2));
	return { head, form: head[0], keyId, sealed: bytes.subarray(end) };
}

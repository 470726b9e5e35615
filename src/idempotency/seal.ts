import { concat, utf8, withLengths } from "../lib/bytes.ts";
import type { KeyEncryptionKey } from "../lib/keks.ts";
import type { Random } from "../lib/random.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What of an entry is sealed. One does not open as the other. */
export type SealedPart = "seed" | "answer";

/** Seals for one entry: an answer may have a new bearer token in it, and a seed makes one. */
export interface EntrySeal {
	close(part: SealedPart, bytes: Bytes): Promise<Bytes>;
	/** Throws SealError. */
	open(part: SealedPart, sealed: Bytes): Promise<Bytes>;
}

export type EntrySeals = (tenant: string, entry: string) => EntrySeal;

/** It does not open: another entry's, another part's, changed, or its key-encryption key is gone. */
export class SealError extends Error {
	override readonly name = "SealError";
}

const format = 1;
const ivBytes = 12;

/**
 * `format (1) | length of the id (1) | id of the key-encryption key | IV (12) | ciphertext and tag (16)`.
 *
 * AES-256-GCM under a key of the entry's own, derived from the key-encryption key (HKDF with
 * SHA-256, RFC 5869). One key for all entries would meet the bound of random IVs (2^32) within weeks
 * of busy signing, and private keys are sealed under the same key-encryption key.
 */
export function createEntrySeals(
	keys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]],
	random: Random,
): EntrySeals {
	const imported = new Map<string, CryptoKey>();

	async function derive(kekId: string, tenant: string, entry: string): Promise<CryptoKey> {
		const bytes = keys.find(({ id }) => id === kekId)?.bytes;
		if (!bytes) throw new SealError(`there is no key-encryption key "${kekId}"`);
		const base =
			imported.get(kekId) ??
			(await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey"]));
		imported.set(kekId, base);
		const info = withLengths(["edgesign-entry-v1", kekId, tenant, entry]);
		return crypto.subtle.deriveKey(
			{ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info },
			base,
			{ name: "AES-GCM", length: 256 },
			false,
			["encrypt", "decrypt"],
		);
	}

	return (tenant, entry) => {
		const derived = new Map<string, CryptoKey>();
		async function keyOf(kekId: string): Promise<CryptoKey> {
			const key = derived.get(kekId) ?? (await derive(kekId, tenant, entry));
			derived.set(kekId, key);
			return key;
		}
		return {
			async close(part, bytes) {
				const [{ id }] = keys;
				const iv = random(ivBytes);
				const parameters = { name: "AES-GCM", iv, additionalData: utf8(part) };
				const sealed = await crypto.subtle.encrypt(parameters, await keyOf(id), bytes);
				return concat(Uint8Array.of(format, id.length), utf8(id), iv, new Uint8Array(sealed));
			},
			async open(part, sealed) {
				const ivAt = 2 + (sealed[1] ?? 0);
				if (sealed[0] !== format) throw new SealError("the sealed part is of an unknown format");
				const kekId = new TextDecoder().decode(sealed.subarray(2, ivAt));
				const iv = sealed.subarray(ivAt, ivAt + ivBytes);
				const parameters = { name: "AES-GCM", iv, additionalData: utf8(part) };
				const key = await keyOf(kekId);
				try {
					const ciphertext = sealed.subarray(ivAt + ivBytes);
					return new Uint8Array(await crypto.subtle.decrypt(parameters, key, ciphertext));
				} catch {
					throw new SealError(`the sealed ${part} does not open in this place`);
				}
			},
		};
	};
}

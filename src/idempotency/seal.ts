import { type Bytes, concat, utf8, withLengths } from "../lib/bytes.ts";
import { deriveKey, importBase, readHead, seal, unseal, writeHead } from "../lib/gcm.ts";
import type { KeyEncryptionKey } from "../lib/keks.ts";
import type { Random } from "../lib/random.ts";

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
		const base = imported.get(kekId) ?? (await importBase(bytes));
		imported.set(kekId, base);
		return deriveKey(base, withLengths(["edgesign-entry-v1", kekId, tenant, entry]));
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
				const sealed = await seal(await keyOf(id), bytes, utf8(part), random);
				return concat(writeHead(format, id), sealed);
			},
			async open(part, bytes) {
				const { form, keyId, sealed } = readHead(bytes);
				if (form !== format) throw new SealError("the sealed part is of an unknown format");
				const opened = await unseal(await keyOf(keyId), sealed, utf8(part));
				if (!opened) throw new SealError(`the sealed ${part} does not open in this place`);
				return opened;
			},
		};
	};
}

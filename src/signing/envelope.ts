import { type Bytes, concat, withLengths } from "../lib/bytes.ts";
import { importKey, seal, unseal } from "../lib/gcm.ts";
import type { KeyEncryptionKey } from "../lib/keks.ts";
import type { Random } from "../lib/random.ts";

/** Whose secret it is. All of it is authenticated, so that a ciphertext opens only in its own row. */
export interface SealContext {
	readonly tenant: string;
	readonly keyId: string;
	readonly version: number;
	readonly algorithm: string;
}

/** A secret at rest: the id of its key-encryption key, and `format (1) | IV (12) | ciphertext and tag`. */
export interface Sealed {
	readonly kekId: string;
	readonly bytes: Bytes;
}

/** The ciphertext does not open: another row's, another key's, cut off or changed. */
export class EnvelopeError extends Error {
	override readonly name = "EnvelopeError";
}

export interface Envelope {
	/** The id that new secrets are sealed under. */
	readonly newestKekId: string;
	seal(secret: Bytes, context: SealContext): Promise<Sealed>;
	/** Throws EnvelopeError; the caller wipes the bytes when it has made its key of them. */
	open(sealed: Sealed, context: SealContext): Promise<Bytes>;
}

const format = 1;

/**
 * AES-256-GCM (NIST SP 800-38D) with a random 96-bit IV. Random IVs are sound up to 2^32 seals
 * under one key-encryption key; rotate it long before.
 */
export function createEnvelope(
	keys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]],
	random: Random,
): Envelope {
	const imported = new Map<string, CryptoKey>();
	const byId = new Map(keys.map((key) => [key.id, key.bytes]));

	async function kek(id: string): Promise<CryptoKey> {
		const known = imported.get(id);
		if (known) return known;
		const bytes = byId.get(id);
		if (!bytes) throw new EnvelopeError(`there is no key-encryption key "${id}"`);
		const key = await importKey(bytes);
		imported.set(id, key);
		return key;
	}

	return {
		newestKekId: keys[0].id,
		async seal(secret, context) {
			const [{ id: kekId }] = keys;
			const sealed = await seal(await kek(kekId), secret, additionalData(kekId, context), random);
			return { kekId, bytes: concat(Uint8Array.of(format), sealed) };
		},
		async open({ kekId, bytes }, context) {
			if (bytes[0] !== format) throw new EnvelopeError("the sealed secret is of an unknown format");
			const sealed = bytes.subarray(1);
			const secret = await unseal(await kek(kekId), sealed, additionalData(kekId, context));
			if (!secret) throw new EnvelopeError("the sealed secret does not open in this place");
			return secret;
		},
	};
}

function additionalData(kekId: string, { tenant, keyId, version, algorithm }: SealContext): Bytes {
	return withLengths(["edgesign-seal-v1", kekId, tenant, keyId, String(version), algorithm]);
}

import { type Bytes, concat, utf8, withLengths } from "../lib/bytes.ts";
import { deriveKey, importBase, readHead, seal, unseal, writeHead } from "../lib/gcm.ts";
import type { KeyEncryptionKey } from "../lib/keks.ts";
import type { Random } from "../lib/random.ts";
import * as limits from "../limits.ts";

/** Seals for values that lie where others can write: each opens under its own name and no other. */
export interface ValueSeals {
	close(tenant: string, name: string, value: string): Promise<Bytes>;
	/** null for what was not closed here under this name, or under a key that is gone. */
	open(tenant: string, name: string, bytes: Bytes): Promise<string | null>;
}

const plain = 1;
const deflated = 2;

/**
 * `form (1) | length of the id (1) | id of the key-encryption key | IV (12) | ciphertext and tag (16)`,
 * where the form says whether the text was compressed (RFC 1951) before.
 *
 * AES-256-GCM under a key of the tenant's own, derived from the key-encryption key (HKDF with SHA-256,
 * RFC 5869), with the name as additional data. Whoever can write to the shared cache could otherwise
 * put a token there that makes them an admin.
 */
export function createValueSeals(
	keys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]],
	random: Random,
): ValueSeals {
	const derived = new Map<string, CryptoKey>();

	async function keyOf(kekId: string, tenant: string): Promise<CryptoKey | null> {
		const known = derived.get(`${kekId} ${tenant}`);
		if (known) return known;
		const bytes = keys.find(({ id }) => id === kekId)?.bytes;
		if (!bytes) return null;
		const info = withLengths(["edgesign-shared-value-v1", kekId, tenant]);
		const key = await deriveKey(await importBase(bytes), info);
		const [oldest] = derived.keys();
		if (derived.size >= limits.cacheSealKeys && oldest !== undefined) derived.delete(oldest);
		derived.set(`${kekId} ${tenant}`, key);
		return key;
	}

	return {
		async close(tenant, name, value) {
			const [{ id }] = keys;
			const key = await keyOf(id, tenant);
			if (!key) throw new Error("the newest key-encryption key is not there");
			const text = utf8(value);
			const isLong = text.length > limits.cacheCompressedFromBytes;
			const head = writeHead(isLong ? deflated : plain, id);
			const bytes = isLong ? await through(new CompressionStream("deflate-raw"), text) : text;
			return concat(head, await seal(key, bytes, concat(head, utf8(name)), random));
		},
		async open(tenant, name, bytes) {
			const { head, form, keyId, sealed } = readHead(bytes);
			const key = await keyOf(keyId, tenant);
			const text = key && (await unseal(key, sealed, concat(head, utf8(name))));
			if (!text) return null;
			const isLong = form === deflated;
			// It opened, so it was compressed here: what it becomes was bounded when it was read.
			const open = isLong ? await through(new DecompressionStream("deflate-raw"), text) : text;
			return new TextDecoder().decode(open);
		},
	};
}

async function through(stream: CompressionStream | DecompressionStream, bytes: Bytes) {
	const body = new Blob([bytes]).stream().pipeThrough(stream);
	return new Uint8Array(await new Response(body).arrayBuffer());
}

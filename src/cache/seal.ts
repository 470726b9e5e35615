import { concat, utf8, withLengths } from "../lib/bytes.ts";
import type { KeyEncryptionKey } from "../lib/keks.ts";
import type { Random } from "../lib/random.ts";
import { limits } from "../limits.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Seals for values that lie where others can write: each opens under its own name and no other. */
export interface ValueSeals {
	close(tenant: string, name: string, value: string): Promise<Bytes>;
	/** null for what was not closed here under this name, or under a key that is gone. */
	open(tenant: string, name: string, sealed: Bytes): Promise<string | null>;
}

const plain = 1;
const deflated = 2;
const ivBytes = 12;

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
		const base = await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey"]);
		const info = withLengths(["edgesign-shared-value-v1", kekId, tenant]);
		const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
		const aes = { name: "AES-GCM", length: 256 };
		const key = await crypto.subtle.deriveKey(how, base, aes, false, ["encrypt", "decrypt"]);
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
			const head = concat(Uint8Array.of(isLong ? deflated : plain, id.length), utf8(id));
			const iv = random(ivBytes);
			const how = { name: "AES-GCM", iv, additionalData: additional(head, name) };
			const bytes = isLong ? await through(new CompressionStream("deflate-raw"), text) : text;
			return concat(head, iv, new Uint8Array(await crypto.subtle.encrypt(how, key, bytes)));
		},
		async open(tenant, name, sealed) {
			const ivAt = 2 + (sealed[1] ?? 0);
			const head = sealed.subarray(0, ivAt);
			const kekId = new TextDecoder().decode(head.subarray(2));
			const key = await keyOf(kekId, tenant);
			if (!key) return null;
			const iv = sealed.subarray(ivAt, ivAt + ivBytes);
			const how = { name: "AES-GCM", iv, additionalData: additional(head, name) };
			const bytes = await crypto.subtle
				.decrypt(how, key, sealed.subarray(ivAt + ivBytes))
				.catch(() => null);
			if (!bytes) return null;
			const text = new Uint8Array(bytes);
			const isLong = head[0] === deflated;
			// It opened, so it was compressed here: what it becomes was bounded when it was read.
			const open = isLong ? await through(new DecompressionStream("deflate-raw"), text) : text;
			return new TextDecoder().decode(open);
		},
	};
}

function additional(head: Bytes, name: string): Bytes {
	return concat(head, utf8(name));
}

async function through(stream: CompressionStream | DecompressionStream, bytes: Bytes) {
	const body = new Blob([bytes]).stream().pipeThrough(stream);
	return new Uint8Array(await new Response(body).arrayBuffer());
}

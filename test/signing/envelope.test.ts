import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/lib/bytes.ts";
import type { KeyEncryptionKey } from "../../src/lib/keks.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { createEnvelope, EnvelopeError, type SealContext } from "../../src/signing/envelope.ts";

const context: SealContext = {
	tenant: "main",
	keyId: "01900000-0000-7000-8000-000000000001",
	version: 1,
	algorithm: "Ed25519",
};
const kek = (id: string, value: number): KeyEncryptionKey => ({
	id,
	bytes: new Uint8Array(32).fill(value),
});
const [newest, older] = [kek("2026-11", 1), kek("2026-05", 2)];
const envelope = createEnvelope([newest, older], systemRandom);
const secret = Uint8Array.from({ length: 48 }, (_, i) => i);

const overhead = 1 + 12 + 16;

describe("a sealed secret", () => {
	it("opens to what was sealed, whatever its length", async () => {
		await fc.assert(
			fc.asyncProperty(fc.uint8Array({ maxLength: 3_000 }), async (bytes) => {
				const plain = new Uint8Array(bytes);
				const sealed = await envelope.seal(plain, context);
				expect(sealed.bytes).toHaveLength(plain.length + overhead);
				expect(await envelope.open(sealed, context)).toEqual(plain);
			}),
			{ numRuns: 30 },
		);
	});

	it("shows nothing of the secret, and leaves the caller's bytes as they were", async () => {
		const plain = secret.slice();
		const { bytes } = await envelope.seal(plain, context);
		expect(plain).toEqual(secret);
		expect(toHex(bytes)).not.toContain(toHex(secret.slice(0, 6)));
	});

	it("has an IV of its own each time, of 96 bits", async () => {
		const ivs = new Set<string>();
		for (let i = 0; i < 200; i++) {
			const { bytes } = await envelope.seal(secret, context);
			expect(bytes[0]).toBe(1);
			ivs.add(toHex(bytes.slice(1, 13)));
		}
		expect(ivs.size).toBe(200);
	});

	it("has its randomness from the source that was given, twelve bytes a seal", async () => {
		const asked: number[] = [];
		const counting = createEnvelope([newest], (byteCount) => {
			asked.push(byteCount);
			return new Uint8Array(byteCount).fill(asked.length);
		});
		const { bytes } = await counting.seal(secret, context);
		await counting.seal(secret, context);
		expect(asked).toEqual([12, 12]);
		expect(bytes.slice(1, 13)).toEqual(new Uint8Array(12).fill(1));
	});

	it("is AES-256-GCM that WebCrypto opens with the context as additional data", async () => {
		const { bytes } = await envelope.seal(secret, context);
		const parts = ["edgesign-seal-v1", newest.id, context.tenant, context.keyId, "1", "Ed25519"];
		const encoded = parts.map((part) => new TextEncoder().encode(part));
		const additionalData = Uint8Array.from(encoded.flatMap((part) => [0, part.length, ...part]));
		const key = await crypto.subtle.importKey("raw", newest.bytes, "AES-GCM", false, ["decrypt"]);
		const opened = await crypto.subtle.decrypt(
			{ name: "AES-GCM", iv: bytes.slice(1, 13), additionalData },
			key,
			bytes.slice(13),
		);
		expect(new Uint8Array(opened)).toEqual(secret);
	});
});

describe("a sealed secret in another's place", () => {
	const places: readonly [string, Partial<SealContext>][] = [
		["another tenant's", { tenant: "other" }],
		["another key's", { keyId: "01900000-0000-7000-8000-000000000002" }],
		["another version's", { version: 2 }],
		["another algorithm's", { algorithm: "ES256" }],
		[
			"one whose parts only join to the same text",
			{ tenant: "main0", keyId: context.keyId.slice(1) },
		],
	];

	it.each(places)("does not open: %s", async (_, other) => {
		const [mine, theirs] = [context, { ...context, ...other }];
		const [here, there] = [await envelope.seal(secret, mine), await envelope.seal(secret, theirs)];
		expect(await envelope.open(there, theirs)).toEqual(secret);
		await expect(envelope.open(there, mine)).rejects.toThrow(EnvelopeError);
		await expect(envelope.open(here, theirs)).rejects.toThrow(EnvelopeError);
	});

	it("does not open under any other context", async () => {
		const word = fc.string({ maxLength: 8 });
		const contexts = fc.record({
			tenant: word,
			keyId: word,
			version: fc.integer({ min: 1, max: 20 }),
			algorithm: word,
		});
		await fc.assert(
			fc.asyncProperty(contexts, contexts, async (sealedIn, openedIn) => {
				const sealed = await envelope.seal(secret, sealedIn);
				const same = JSON.stringify(sealedIn) === JSON.stringify(openedIn);
				const opened = await envelope.open(sealed, openedIn).catch(() => null);
				expect(opened === null).toBe(!same);
			}),
			{ numRuns: 60 },
		);
	});
});

describe("the key-encryption key", () => {
	it("is the newest for whatever is sealed, and the older one still opens", async () => {
		const before = await createEnvelope([older], systemRandom).seal(secret, context);
		expect(before.kekId).toBe(older.id);
		expect(await envelope.open(before, context)).toEqual(secret);
		const after = await envelope.seal(secret, context);
		expect(after.kekId).toBe(newest.id);
		expect(envelope.newestKekId).toBe(newest.id);
	});

	it("must be there: what was sealed under one that is gone does not open, and says which", async () => {
		const sealed = await createEnvelope([kek("gone", 3)], systemRandom).seal(secret, context);
		await expect(envelope.open(sealed, context)).rejects.toThrow(/"gone"/);
	});

	it("must be the right one: another under the same id does not open", async () => {
		const sealed = await createEnvelope([kek(newest.id, 9)], systemRandom).seal(secret, context);
		await expect(envelope.open(sealed, context)).rejects.toThrow(EnvelopeError);
	});

	it("is bound by its id: the same bytes under another id do not open", async () => {
		const twice = createEnvelope([newest, { id: "copy", bytes: newest.bytes }], systemRandom);
		const sealed = await twice.seal(secret, context);
		await expect(twice.open({ ...sealed, kekId: "copy" }, context)).rejects.toThrow(EnvelopeError);
	});
});

describe("a damaged secret", () => {
	it("does not open at any shorter length, nor at a longer one", async () => {
		const sealed = await envelope.seal(secret, context);
		for (let length = 0; length < sealed.bytes.length; length++) {
			const cut = { ...sealed, bytes: sealed.bytes.slice(0, length) };
			await expect(envelope.open(cut, context), `${length} bytes`).rejects.toThrow(EnvelopeError);
		}
		const longer = { ...sealed, bytes: Uint8Array.from([...sealed.bytes, 0]) };
		await expect(envelope.open(longer, context)).rejects.toThrow(EnvelopeError);
	});

	it("does not open with any one byte changed", async () => {
		const sealed = await envelope.seal(secret, context);
		for (let at = 0; at < sealed.bytes.length; at++) {
			const bytes = sealed.bytes.slice();
			bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
			await expect(envelope.open({ ...sealed, bytes }, context), `byte ${at}`).rejects.toThrow(
				EnvelopeError,
			);
		}
	});

	it("says nothing of the secret or the key in its error", async () => {
		const sealed = await envelope.seal(secret, context);
		const error = await envelope.open(sealed, { ...context, version: 2 }).catch((reason) => reason);
		expect(error).toBeInstanceOf(EnvelopeError);
		expect(String(error.stack)).not.toContain(toHex(secret).slice(0, 8));
		expect(error.message).not.toContain(newest.id);
	});
});

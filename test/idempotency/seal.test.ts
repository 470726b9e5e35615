import { describe, expect, it } from "vitest";
import { createEntrySeals, SealError } from "../../src/idempotency/seal.ts";
import { toHex, utf8 } from "../../src/lib/bytes.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { createEnvelope } from "../../src/signing/envelope.ts";

const newest = { id: "kek-2", bytes: new Uint8Array(32).fill(2) };
const older = { id: "kek-1", bytes: new Uint8Array(32).fill(1) };
const seals = createEntrySeals([newest, older], systemRandom);
const secret = utf8("es_acme_a-new-bearer-token");

describe("what is sealed for an entry", () => {
	it("opens there, and nowhere else", async () => {
		const sealed = await seals("acme", "one").close("answer", secret);
		expect(await seals("acme", "one").open("answer", sealed)).toEqual(secret);
		for (const seal of [seals("acme", "two"), seals("other", "one")]) {
			await expect(seal.open("answer", sealed)).rejects.toThrow(SealError);
		}
		await expect(seals("acme", "one").open("seed", sealed)).rejects.toThrow(SealError);
	});

	it("has the format that docs/storage.md describes", async () => {
		const sealed = await seals("acme", "one").close("seed", secret);
		expect(sealed.length).toBe(2 + newest.id.length + 12 + secret.length + 16);
		expect([...sealed.subarray(0, 2)]).toEqual([1, newest.id.length]);
		expect(new TextDecoder().decode(sealed.subarray(2, 7))).toBe(newest.id);
		expect(toHex(sealed)).not.toContain(toHex(secret));
	});

	it("is another ciphertext each time", async () => {
		const seal = seals("acme", "one");
		const [a, b] = [await seal.close("seed", secret), await seal.close("seed", secret)];
		expect(toHex(a)).not.toBe(toHex(b));
	});

	it("opens after a new key-encryption key came, and not when the old one is gone", async () => {
		const before = createEntrySeals([older], systemRandom);
		const sealed = await before("acme", "one").close("answer", secret);
		expect(await seals("acme", "one").open("answer", sealed)).toEqual(secret);
		const without = createEntrySeals([newest], systemRandom);
		await expect(without("acme", "one").open("answer", sealed)).rejects.toThrow(/"kek-1"/);
	});

	it("does not open when a bit of it is changed, or a part is missing", async () => {
		const seal = seals("acme", "one");
		const sealed = await seal.close("answer", secret);
		for (let at = 0; at < sealed.length; at++) {
			const changed = sealed.slice();
			changed[at] = (changed[at] ?? 0) ^ 1;
			await expect(seal.open("answer", changed), `byte ${at}`).rejects.toThrow(SealError);
		}
		for (const length of [0, 1, 2, 7, 19, sealed.length - 1]) {
			await expect(seal.open("answer", sealed.slice(0, length))).rejects.toThrow(SealError);
		}
	});

	it("does not open as a private key's seal", async () => {
		const sealed = await seals("acme", "one").close("answer", secret);
		const bytes = sealed.slice(1 + newest.id.length);
		bytes[0] = 1;
		const context = { tenant: "acme", keyId: "one", version: 1, algorithm: "answer" };
		const envelope = createEnvelope([newest], systemRandom);
		await expect(envelope.open({ kekId: newest.id, bytes }, context)).rejects.toThrow();
	});
});

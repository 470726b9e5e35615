import { secp256k1 } from "@noble/curves/secp256k1.js";
import { beforeAll, describe, expect, it } from "vitest";
import { fromBase64, toBase64, toBase64Url, toHex } from "../../src/lib/bytes.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import type { Encoding } from "../../src/signing/types.ts";
import { digestBytes, hello, type Key, newKey, signed, verified } from "../support/keys.ts";
import { judge, judgeDigest, message } from "../support/material.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

const ecdsa = ["ES256", "ES384", "ES512", "ES256K"] as const;
const encodingsOf = (name: AlgorithmName): Encoding[] => {
	if (name === "BIP340") return ["raw"];
	return ecdsa.some((known) => known === name) ? ["raw", "der", "jws"] : ["raw", "jws"];
};
const rawBytes: Readonly<Record<AlgorithmName, number>> = {
	Ed25519: 64,
	ES256: 64,
	ES384: 96,
	ES512: 132,
	ES256K: 64,
	BIP340: 64,
	RS256: 256,
	PS256: 256,
	HS256: 32,
};

let tenant: Tenant;
const keys = new Map<AlgorithmName, Key>();
beforeAll(async () => {
	tenant = await newTenant();
	for (const name of algorithmNames) keys.set(name, await newKey(tenant, name));
});

function keyOf(name: AlgorithmName): Key {
	const key = keys.get(name);
	if (!key) throw new Error(`there is no key of ${name}`);
	return key;
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
	const bytes = fromBase64(text);
	if (!bytes) throw new Error("not base64");
	return bytes;
}

describe("POST /v1/keys/{key}/sign", () => {
	it("signs what verify accepts, by name and by id", async () => {
		const key = await newKey(tenant, "Ed25519", { name: "payments" });
		for (const ref of ["payments", key.id]) {
			const { signature } = await signed(tenant, ref);
			expect(await verified(tenant, ref, { message: hello, signature })).toEqual({
				valid: true,
				version: 1,
			});
		}
	});

	it.each(algorithmNames)("says with a signature of %s who signed and how", async (algorithm) => {
		const key = keyOf(algorithm);
		const { signature, recoveryId, ...rest } = await signed(tenant, key.name);
		expect(rest).toEqual({ encoding: "raw", keyId: key.id, version: 1, algorithm });
		expect(bytesOf(signature)).toHaveLength(rawBytes[algorithm]);
		if (algorithm === "ES256K") expect([0, 1]).toContain(recoveryId);
		else expect(recoveryId).toBeUndefined();
	});

	const uses = algorithmNames.flatMap((algorithm) =>
		encodingsOf(algorithm).map((encoding) => ({ algorithm, encoding })),
	);
	it.each(uses)(
		"signs a message with $algorithm as $encoding, and verifies it so",
		async ({ algorithm, encoding }) => {
			const key = keyOf(algorithm);
			const json = { message: toBase64(message), encoding };
			const { signature } = await signed(tenant, key.id, json);
			expect(await verified(tenant, key.id, { ...json, signature })).toEqual({
				valid: true,
				version: 1,
			});
			if (encoding === "der" || algorithm === "HS256") return;
			const jwk = key.publicKey.jwk;
			expect(await judge(algorithm, jwk, message, bytesOf(signature))).toBe(true);
		},
	);

	it.each(Object.entries(digestBytes) as [AlgorithmName, number][])(
		"signs with %s a digest of %s bytes, which the key's owner would verify",
		async (algorithm, length) => {
			const key = keyOf(algorithm);
			const digest = crypto.getRandomValues(new Uint8Array(length));
			const json = { digest: toBase64(digest) };
			const { signature } = await signed(tenant, key.id, json);
			expect(await verified(tenant, key.id, { ...json, signature })).toEqual({
				valid: true,
				version: 1,
			});
			expect(judgeDigest(algorithm, key.publicKey.jwk, digest, bytesOf(signature))).toBe(true);
		},
	);

	it.each([
		["ES256", "SHA-256"],
		["ES384", "SHA-384"],
		["ES512", "SHA-512"],
		["ES256K", "SHA-256"],
	] as const)("means the same by a message and by its digest: %s, %s", async (algorithm, hash) => {
		const digest = new Uint8Array(await crypto.subtle.digest(hash, message));
		const forms = [{ message: toBase64(message) }, { digest: toBase64(digest) }];
		for (const form of forms) {
			const { signature } = await signed(tenant, keyOf(algorithm).id, form);
			for (const other of forms) {
				const answer = await verified(tenant, keyOf(algorithm).id, { ...other, signature });
				expect(answer.valid).toBe(true);
			}
		}
	});

	it("takes base64url and unpadded base64 for the same bytes", async () => {
		const bytes = Uint8Array.from([0xfb, 0xff, 0xbf, 0x3e]);
		const forms = [toBase64(bytes), toBase64Url(bytes), toBase64(bytes).replace(/=/g, "")];
		expect(forms).toEqual(["+/+/Pg==", "-_-_Pg", "+/+/Pg"]);
		const signatures: object[] = [];
		for (const form of forms)
			signatures.push(await signed(tenant, keyOf("Ed25519").id, { message: form }));
		expect(signatures[1]).toEqual(signatures[0]);
		expect(signatures[2]).toEqual(signatures[0]);
	});

	it("signs the empty message", async () => {
		for (const name of ["Ed25519", "ES256", "BIP340", "RS256", "HS256"] as const) {
			const { signature } = await signed(tenant, keyOf(name).id, { message: "" });
			const answer = await verified(tenant, keyOf(name).id, { message: "", signature });
			expect(answer.valid).toBe(true);
		}
	});

	it("signs a message of exactly 1 MiB", async () => {
		const longest = toBase64(new Uint8Array(1024 * 1024).fill(0x5a));
		const { signature } = await signed(tenant, keyOf("Ed25519").id, { message: longest });
		const answer = await verified(tenant, keyOf("Ed25519").id, { message: longest, signature });
		expect(answer.valid).toBe(true);
	});

	it.each(ecdsa)("gives %s in DER and raw the same two numbers", async (algorithm) => {
		const key = keyOf(algorithm);
		const { signature: der } = await signed(tenant, key.id, { message: hello, encoding: "der" });
		const bytes = bytesOf(der);
		expect(bytes[0]).toBe(0x30);
		const raw = rawOf(bytes, rawBytes[algorithm] / 2);
		const asRaw = { message: hello, signature: toBase64(raw) };
		expect(await verified(tenant, key.id, asRaw)).toEqual({ valid: true, version: 1 });
		const asJws = { message: hello, signature: toBase64Url(raw), encoding: "jws" };
		expect(await verified(tenant, key.id, asJws)).toEqual({ valid: true, version: 1 });
	});

	it.each(["ES256", "ES384", "ES512", "ES256K", "BIP340", "PS256"] as const)(
		"hedges %s: the same message is signed differently each time",
		async (name) => {
			const json = digestBytes[name]
				? { digest: toBase64(new Uint8Array(digestBytes[name])) }
				: { message: hello };
			const [first, second] = [
				await signed(tenant, keyOf(name).id, json),
				await signed(tenant, keyOf(name).id, json),
			];
			expect(first.signature).not.toBe(second.signature);
		},
	);

	it.each(["Ed25519", "RS256", "HS256"] as const)(
		"signs with %s the same each time",
		async (name) => {
			const [first, second] = [
				await signed(tenant, keyOf(name).id),
				await signed(tenant, keyOf(name).id),
			];
			expect(first).toEqual(second);
		},
	);

	it("gives ES256K a low s always, and the recovery id of the key", async () => {
		const key = keyOf("ES256K");
		const half = secp256k1.Point.Fn.ORDER / 2n;
		const digest = new Uint8Array(32).fill(9);
		for (let i = 0; i < 16; i++) {
			const answer = await signed(tenant, key.id, { digest: toBase64(digest) });
			const compact = bytesOf(answer.signature);
			expect(BigInt(`0x${toHex(compact.slice(32))}`)).toBeLessThanOrEqual(half);
			const recovered = secp256k1.Signature.fromBytes(compact)
				.addRecoveryBit(answer.recoveryId)
				.recoverPublicKey(digest);
			expect(toBase64Url(recovered.toBytes(false).slice(1, 33))).toBe(key.publicKey.jwk.x);
		}
	});

	it("is refused to no signer and signs with the keys of its patterns only", async () => {
		const token = await tenant.token("signer", { keys: [keyOf("ES256").name] });
		const ask = (ref: string) =>
			tenant.call("POST", `/v1/keys/${ref}/sign`, { token, json: { message: hello } });
		expect((await ask(keyOf("ES256").id)).status).toBe(200);
		expect((await ask(keyOf("ES384").id)).status).toBe(403);
		expect((await ask(keyOf("ES384").name)).status).toBe(403);
		// Known to the isolate by now from the admin's own requests, which must not matter.
		await signed(tenant, keyOf("ES384").name);
		expect((await ask(keyOf("ES384").name)).status).toBe(403);
	});
});

/** ECDSA-Sig-Value to r||s, in the simplest way that works for what the service answers. */
function rawOf(der: Uint8Array, coordinateBytes: number): Uint8Array<ArrayBuffer> {
	const raw = new Uint8Array(2 * coordinateBytes);
	let at = der[1] === 0x81 ? 3 : 2;
	for (const end of [coordinateBytes, 2 * coordinateBytes]) {
		expect(der[at]).toBe(2);
		const length = der[at + 1] ?? 0;
		const number = der.slice(at + 2, at + 2 + length);
		const magnitude = number[0] === 0 ? number.slice(1) : number;
		raw.set(magnitude, end - magnitude.length);
		at += 2 + length;
	}
	expect(at).toBe(der.length);
	return raw;
}

import { describe, expect, it } from "vitest";
import { type Bytes, fromBase64Url, toBase64Url, toHex, utf8 } from "../../src/lib/bytes.ts";
import type { AlgorithmName } from "../../src/model.ts";
import { algorithms } from "../../src/signing/algorithms.ts";
import { type NistCurve, signDigest } from "../../src/signing/noble-nist.ts";
import { signSchnorr } from "../../src/signing/noble-secp256k1.ts";
import bip340 from "../vectors/bip340.json" with { type: "json" };
import jose from "../vectors/jose.json" with { type: "json" };
import nistEcdsa from "../vectors/nist-ecdsa.json" with { type: "json" };
import nistRsa from "../vectors/nist-rsa-pkcs1.json" with { type: "json" };
import rfc4231 from "../vectors/rfc4231-hmac.json" with { type: "json" };
import rfc6979 from "../vectors/rfc6979.json" with { type: "json" };
import rfc8032 from "../vectors/rfc8032-ed25519.json" with { type: "json" };
import wycheproofEd25519 from "../vectors/wycheproof-ed25519.json" with { type: "json" };
import { fromHex, publicOf, secretOf, unwrap, verifierOf } from "./support.ts";

const hashes = { ES256: "SHA-256", ES384: "SHA-384", ES512: "SHA-512", ES256K: "SHA-256" } as const;
const curveNames = { ES256: "P-256", ES384: "P-384", ES512: "P-521", ES256K: "secp256k1" } as const;
type EcdsaName = keyof typeof hashes;

async function digest(algorithm: EcdsaName, message: Bytes): Promise<Bytes> {
	return new Uint8Array(await crypto.subtle.digest(hashes[algorithm], message));
}

function base64Url(hex: string): string {
	return toBase64Url(fromHex(hex));
}

function ed25519Jwk(publicKey: string) {
	return { kty: "OKP", crv: "Ed25519", x: base64Url(publicKey) };
}

describe("Ed25519", () => {
	it.each(rfc8032.cases)("signs and verifies RFC 8032 $name", async (vector) => {
		const jwk = { ...ed25519Jwk(vector.publicKey), d: base64Url(vector.secretKey) };
		const key = unwrap(await algorithms.Ed25519.importKey(jwk));
		const message = fromHex(vector.message);
		const sign = await algorithms.Ed25519.signer(secretOf(key), "message");
		const { bytes } = await sign(message);
		expect(toHex(bytes)).toBe(vector.signature);
		const verify = await verifierOf(algorithms.Ed25519, key, "message");
		expect(await verify(message, bytes)).toBe(true);
	});

	it("agrees with every verdict of Project Wycheproof", async () => {
		const wrong: unknown[] = [];
		for (const vector of wycheproofEd25519.cases) {
			const key = unwrap(await algorithms.Ed25519.importKey(ed25519Jwk(vector.publicKey)));
			const verify = await verifierOf(algorithms.Ed25519, key, "message");
			const valid = await verify(fromHex(vector.message), fromHex(vector.signature));
			if (valid !== vector.valid) wrong.push(vector);
		}
		expect(wrong).toEqual([]);
	});
});

describe("ECDSA", () => {
	it.each(rfc6979.cases)(
		"makes the nonce of RFC 6979 for $algorithm over $message",
		async (vector) => {
			const hashed = await digest(vector.algorithm as EcdsaName, utf8(vector.message));
			const signature = signDigest(vector.curve as NistCurve, hashed, fromHex(vector.x), false);
			expect(toHex(signature)).toBe(vector.r + vector.s);
		},
	);

	const cases = nistEcdsa.cases.map((vector, index) => ({
		...vector,
		index,
	}));
	it.each(cases)(
		"agrees with CAVP $index, $algorithm $result, over message and digest",
		async (vector) => {
			const name = vector.algorithm as EcdsaName;
			const algorithm = algorithms[name];
			const members = { x: base64Url(vector.x), y: base64Url(vector.y) };
			const jwk = { kty: "EC", crv: curveNames[name], ...members };
			const message = fromHex(vector.message);
			const hashed = await digest(name, message);
			const signature = fromHex(vector.r + vector.s);
			const privateJwk = vector.d ? { ...jwk, d: base64Url(vector.d) } : jwk;
			const key = unwrap(await algorithm.importKey(privateJwk));
			const verifyMessage = await verifierOf(algorithm, key, "message");
			const verifyDigest = await verifierOf(algorithm, key, "digest");
			expect(await verifyMessage(message, signature)).toBe(vector.valid);
			expect(await verifyDigest(hashed, signature)).toBe(vector.valid);
			if (!key.secret) return;
			const fromMessage = await (await algorithm.signer(secretOf(key), "message"))(message);
			const fromDigest = await (await algorithm.signer(secretOf(key), "digest"))(hashed);
			expect(await verifyDigest(hashed, fromMessage.bytes)).toBe(true);
			expect(await verifyMessage(message, fromDigest.bytes)).toBe(true);
		},
	);
});

describe("RSA", () => {
	const labelled = nistRsa.cases.map((vector, index) => ({ ...vector, index }));
	it.each(labelled)(
		"agrees with CAVP $index for RS256 of $bits bits, e $e: $result",
		async (vector) => {
			const jwk = { kty: "RSA", n: base64Url(vector.n), e: base64Url(vector.e) };
			const key = unwrap(await algorithms.RS256.importKey(jwk));
			const verify = await verifierOf(algorithms.RS256, key, "message");
			const valid = await verify(fromHex(vector.message), fromHex(vector.signature));
			expect(valid).toBe(vector.valid);
			expect(algorithms.RS256.modulusLengthOf(publicOf(key))).toBe(vector.bits);
		},
	);
});

describe("BIP340", () => {
	it.each(bip340.cases)("agrees with vector $index of BIP-340: $comment", async (vector) => {
		const message = fromHex(vector.message);
		const jwk = { kty: "EC", crv: "secp256k1", x: base64Url(vector.publicKey) };
		const found = await algorithms.BIP340.importKey(jwk);
		if (vector.comment.startsWith("public key")) {
			expect(found.ok).toBe(false);
			return;
		}
		const verify = await verifierOf(algorithms.BIP340, unwrap(found), "message");
		expect(await verify(message, fromHex(vector.signature))).toBe(vector.valid);
		if (vector.secretKey === null || vector.auxiliary === null) return;
		const signature = signSchnorr(message, fromHex(vector.secretKey), fromHex(vector.auxiliary));
		expect(toHex(signature)).toBe(vector.signature);
		const d = base64Url(vector.secretKey);
		const key = unwrap(await algorithms.BIP340.importKey({ ...jwk, d }));
		const fresh = await (await algorithms.BIP340.signer(secretOf(key), "message"))(message);
		expect(await verify(message, fresh.bytes)).toBe(true);
	});
});

describe("HS256", () => {
	it.each(rfc4231.cases)("makes the tag of RFC 4231 under the key $key", async (vector) => {
		const sign = await algorithms.HS256.signer(fromHex(vector.key), "message");
		const verify = await algorithms.HS256.verifier({ secret: fromHex(vector.key) }, "message");
		const { bytes } = await sign(fromHex(vector.message));
		expect(toHex(bytes)).toBe(vector.tag);
		expect(await verify(fromHex(vector.message), fromHex(vector.tag))).toBe(true);
	});
});

describe("JOSE", () => {
	it.each(jose.cases)("agrees with $section", async (vector) => {
		const algorithm = algorithms[vector.algorithm as AlgorithmName];
		const key = unwrap(await algorithm.importKey(vector.jwk));
		const verify = await verifierOf(algorithm, key, "message");
		const signature = fromBase64Url(vector.signature);
		if (!signature) throw new Error("the vector's signature is not base64url");
		expect(await verify(utf8(vector.input), signature)).toBe(true);
		const { bytes } = await (await algorithm.signer(secretOf(key), "message"))(utf8(vector.input));
		expect(await verify(utf8(vector.input), bytes)).toBe(true);
		if (vector.deterministic) expect(toBase64Url(bytes)).toBe(vector.signature);
	});
});

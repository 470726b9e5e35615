import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Bytes, toHex, utf8 } from "../../src/lib/bytes.ts";
import { algorithmNames } from "../../src/model.ts";
import { algorithms } from "../../src/signing/algorithms.ts";
import type { InputKind } from "../../src/signing/types.ts";
import {
	asymmetric,
	everyAlgorithm,
	everyUse,
	flipBit,
	fromHex,
	keyOf,
	openBoth,
	publicOf,
	secretOf,
	verifierOf,
} from "./support.ts";

/** Few runs each: there are fourteen uses, some slow, and every run tries new bytes. */
const numRuns = 12;
const ecdsa = [algorithms.ES256, algorithms.ES384, algorithms.ES512, algorithms.ES256K];
const secp256k1Order = BigInt("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

function inputOf(digestBytes: number | null, kind: InputKind): fc.Arbitrary<Bytes> {
	const size = kind === "digest" ? (digestBytes ?? 0) : 0;
	const lengths = kind === "digest" ? { minLength: size, maxLength: size } : { maxLength: 300 };
	return fc.uint8Array(lengths).map((bytes) => new Uint8Array(bytes));
}

describe("the algorithm table", () => {
	it("has a row for every name, under its own name", () => {
		expect(Object.keys(algorithms)).toEqual([...algorithmNames]);
		expect(everyAlgorithm.map(({ name }) => name)).toEqual([...algorithmNames]);
	});

	it("says what each algorithm can do", () => {
		const rows = everyAlgorithm.map((row) => [
			row.name,
			row.digestBytes,
			row.encodings.join(" "),
			row.formats.join(" "),
			row.jose,
			row.signatureBytes,
		]);
		expect(rows).toEqual([
			["Ed25519", null, "raw jws", "jwk pem raw", "EdDSA", 64],
			["ES256", 32, "raw der jws", "jwk pem raw", "ES256", 64],
			["ES384", 48, "raw der jws", "jwk pem raw", "ES384", 96],
			["ES512", 64, "raw der jws", "jwk pem raw", "ES512", 132],
			["ES256K", 32, "raw der jws", "jwk pem raw", "ES256K", 64],
			["BIP340", 32, "raw", "jwk pem raw", null, 64],
			["RS256", null, "raw jws", "jwk pem", "RS256", null],
			["PS256", null, "raw jws", "jwk pem", "PS256", null],
			["HS256", null, "raw jws", "", "HS256", 32],
		]);
	});
});

describe.each(everyUse)("$name", ({ algorithm, kind }) => {
	const inputs = inputOf(algorithm.digestBytes, kind);

	it("verifies what it signed", async () => {
		const { sign, verify } = await openBoth(algorithm, kind);
		await fc.assert(
			fc.asyncProperty(inputs, async (input) => {
				const { bytes } = await sign(input);
				expect(bytes.length).toBe(algorithm.signatureBytes ?? 256);
				expect(await verify(input, bytes)).toBe(true);
			}),
			{ numRuns },
		);
	});

	it("refuses a signature or an input with one bit turned", async () => {
		const { sign, verify } = await openBoth(algorithm, kind);
		const nonEmpty = inputs.filter((input) => input.length > 0);
		await fc.assert(
			fc.asyncProperty(nonEmpty, fc.nat(4_000), async (input, bit) => {
				const { bytes } = await sign(input);
				expect(await verify(input, flipBit(bytes, bit))).toBe(false);
				expect(await verify(flipBit(input, bit), bytes)).toBe(false);
			}),
			{ numRuns },
		);
	});

	it("is false, not an error, for a signature of any length and content", async () => {
		const { sign, verify } = await openBoth(algorithm, kind);
		const input = new Uint8Array(algorithm.digestBytes ?? 20).fill(1);
		const { bytes } = await sign(input);
		const size = bytes.length;
		for (const length of [0, 1, size - 1, size + 1, 2 * size]) {
			const wrong = new Uint8Array(length);
			wrong.set(bytes.subarray(0, length));
			expect(await verify(input, wrong)).toBe(false);
		}
		for (const byte of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
			expect(await verify(input, new Uint8Array(size).fill(byte))).toBe(false);
		}
	});

	it("refuses what another key signed", async () => {
		const { verify } = await openBoth(algorithm, kind);
		const other = await algorithm.generate();
		const input = new Uint8Array(algorithm.digestBytes ?? 20).fill(2);
		const { bytes } = await (await algorithm.signer(secretOf(other), kind))(input);
		expect(await verify(input, bytes)).toBe(false);
		expect(await (await verifierOf(algorithm, other, kind))(input, bytes)).toBe(true);
	});

	it("keeps signing after the caller has wiped the secret", async () => {
		const key = await keyOf(algorithm);
		const secret = secretOf(key);
		const sign = await algorithm.signer(secret, kind);
		secret.fill(0);
		const input = new Uint8Array(algorithm.digestBytes ?? 20).fill(3);
		const verify = await verifierOf(algorithm, key, kind);
		expect(await verify(input, (await sign(input)).bytes)).toBe(true);
	});
});

describe("a digest", () => {
	const takes = everyAlgorithm.filter(({ digestBytes }) => digestBytes !== null);
	const takesNone = everyAlgorithm.filter(({ digestBytes }) => digestBytes === null);

	it.each(takes)("of another length is not signed by $name, and verifies nothing", async (row) => {
		const { sign, verify } = await openBoth(row, "digest");
		const size = row.digestBytes ?? 0;
		const { bytes } = await sign(new Uint8Array(size));
		for (const length of [0, size - 1, size + 1]) {
			await expect(sign(new Uint8Array(length))).rejects.toThrow(RangeError);
			expect(await verify(new Uint8Array(length), bytes)).toBe(false);
		}
	});

	it.each(takesNone)("is nothing that $name signs", async (algorithm) => {
		const key = await keyOf(algorithm);
		await expect(async () => algorithm.signer(secretOf(key), "digest")).rejects.toThrow(TypeError);
		await expect(async () => verifierOf(algorithm, key, "digest")).rejects.toThrow(TypeError);
	});

	it.each(ecdsa)("and its message are interchangeable for $name", async (algorithm) => {
		const hash = { 32: "SHA-256", 48: "SHA-384", 64: "SHA-512" }[algorithm.digestBytes ?? 0] ?? "";
		const message = utf8("the same either way");
		const digest = new Uint8Array(await crypto.subtle.digest(hash, message));
		const ofMessage = await openBoth(algorithm, "message");
		const ofDigest = await openBoth(algorithm, "digest");
		expect(await ofDigest.verify(digest, (await ofMessage.sign(message)).bytes)).toBe(true);
		expect(await ofMessage.verify(message, (await ofDigest.sign(digest)).bytes)).toBe(true);
	});

	it("of BIP340 is a message of 32 bytes, and is not hashed", async () => {
		const message = new Uint8Array(32).fill(9);
		const ofMessage = await openBoth(algorithms.BIP340, "message");
		const ofDigest = await openBoth(algorithms.BIP340, "digest");
		expect(await ofMessage.verify(message, (await ofDigest.sign(message)).bytes)).toBe(true);
	});
});

describe("ECDSA", () => {
	it.each(ecdsa)(
		"of $name does not repeat itself over a digest: it is hedged",
		async (algorithm) => {
			const { sign } = await openBoth(algorithm, "digest");
			const digest = new Uint8Array(algorithm.digestBytes ?? 0).fill(7);
			expect(toHex((await sign(digest)).bytes)).not.toBe(toHex((await sign(digest)).bytes));
		},
	);

	it.each(ecdsa)("of $name refuses r or s that is zero, the order or more", async (algorithm) => {
		for (const kind of ["message", "digest"] as const) {
			const { sign, verify } = await openBoth(algorithm, kind);
			const input = new Uint8Array(algorithm.digestBytes ?? 0).fill(5);
			const { bytes } = await sign(input);
			const half = bytes.length / 2;
			for (const from of [0, half]) {
				for (const byte of [0x00, 0xff]) {
					const wrong = bytes.slice().fill(byte, from, from + half);
					expect(await verify(input, wrong)).toBe(false);
				}
			}
		}
	});

	it("of ES256K has a low s and tells which point R is", async () => {
		const { sign } = await openBoth(algorithms.ES256K, "digest");
		await fc.assert(
			fc.asyncProperty(inputOf(32, "digest"), async (digest) => {
				const { bytes, recoveryId } = await sign(digest);
				const s = BigInt(`0x${toHex(bytes.subarray(32))}`);
				expect(s <= secp256k1Order / 2n).toBe(true);
				expect([0, 1]).toContain(recoveryId);
			}),
			{ numRuns: 30 },
		);
	});

	it("of ES256K verifies the high s too", async () => {
		const { sign, verify } = await openBoth(algorithms.ES256K, "message");
		const { bytes } = await sign(utf8("malleable"));
		const s = secp256k1Order - BigInt(`0x${toHex(bytes.subarray(32))}`);
		const high = bytes.slice();
		high.set(fromHex(s.toString(16).padStart(64, "0")), 32);
		expect(await verify(utf8("malleable"), high)).toBe(true);
	});

	it("tells the recovery id for ES256K alone", async () => {
		for (const algorithm of everyAlgorithm) {
			const { sign } = await openBoth(algorithm, "message");
			const signature = await sign(utf8("whose"));
			expect("recoveryId" in signature).toBe(algorithm.name === "ES256K");
		}
	});
});

describe("BIP340", () => {
	it("does not repeat itself: its auxiliary randomness is fresh", async () => {
		const { sign } = await openBoth(algorithms.BIP340, "message");
		const message = utf8("once more");
		expect(toHex((await sign(message)).bytes)).not.toBe(toHex((await sign(message)).bytes));
	});

	it("has public keys with an even y, whatever the scalar", async () => {
		for (let i = 0; i < 8; i++) {
			const key = await algorithms.BIP340.generate();
			const point = algorithms.ES256K.exportRaw(publicOf(key));
			expect((point?.at(-1) ?? 1) % 2).toBe(0);
		}
	});
});

describe("RSA", () => {
	it.each([2048, 3072, 4096])(
		"makes keys of %i bits",
		async (bits) => {
			const key = await algorithms.PS256.generate(bits);
			expect(algorithms.PS256.modulusLengthOf(publicOf(key))).toBe(bits);
		},
		30_000,
	);

	it("of PS256 refuses the PKCS #1 v1.5 signature of the same key, and the reverse", async () => {
		const { sign, key } = await openBoth(algorithms.RS256, "message");
		const pss = await algorithms.PS256.signer(secretOf(key), "message");
		const message = utf8("one key, two schemes");
		const verifyPss = await verifierOf(algorithms.PS256, key, "message");
		const verifyPkcs1 = await verifierOf(algorithms.RS256, key, "message");
		expect(await verifyPss(message, (await sign(message)).bytes)).toBe(false);
		expect(await verifyPkcs1(message, (await pss(message)).bytes)).toBe(false);
		expect(await verifyPss(message, (await pss(message)).bytes)).toBe(true);
	});
});

describe("the two halves", () => {
	it.each(asymmetric)("of $name: a secret is nothing to verify with", async (algorithm) => {
		const secret = secretOf(await keyOf(algorithm));
		await expect(async () => algorithm.verifier({ secret }, "message")).rejects.toThrow(TypeError);
	});

	it("of HS256: there is no public one", async () => {
		const publicJwk = publicOf(await keyOf(algorithms.ES256));
		const { HS256 } = algorithms;
		await expect(async () => HS256.verifier({ publicJwk }, "message")).rejects.toThrow(TypeError);
		expect(() => HS256.exportPem(publicJwk)).toThrow(TypeError);
		expect(HS256.exportRaw(publicJwk)).toBeNull();
		expect((await keyOf(HS256)).publicJwk).toBeNull();
	});
});

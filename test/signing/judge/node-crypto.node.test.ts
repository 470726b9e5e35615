import {
	constants,
	createHmac,
	createPrivateKey,
	createPublicKey,
	ECDH,
	generateKeyPairSync,
	type JsonWebKeyInput,
	type KeyObject,
	sign as nodeSign,
	verify as nodeVerify,
	randomBytes,
	type SignKeyObjectInput,
} from "node:crypto";
import { describe, expect, it } from "vitest";
import { toBase64, toBase64Url } from "../../../src/lib/bytes.ts";
import type { AlgorithmName } from "../../../src/model.ts";
import { algorithms } from "../../../src/signing/algorithms.ts";
import { toDer } from "../../../src/signing/der.ts";
import { curves, toPkcs8 } from "../../../src/signing/ec.ts";
import { writePublicPem } from "../../../src/signing/keyinfo.ts";
import { decodeSignature, encodeSignature } from "../../../src/signing/signature.ts";
import type { Algorithm, KeyMaterial } from "../../../src/signing/types.ts";
import {
	type Jwk,
	keyOf,
	openBoth,
	privateJwkOf,
	publicOf,
	secretOf,
	unwrap,
	verifierOf,
} from "../support.ts";

/** How Node names an algorithm: its hash, the options of sign and verify, and how to make a key. */
interface NodeForm {
	readonly hash: string | null;
	readonly options: Partial<SignKeyObjectInput>;
	readonly make: () => { publicKey: KeyObject; privateKey: KeyObject };
}

const ec = (namedCurve: string, hash: string): NodeForm => ({
	hash,
	options: { dsaEncoding: "ieee-p1363" },
	make: () => generateKeyPairSync("ec", { namedCurve }),
});
const rsa = (options: Partial<SignKeyObjectInput>, modulusLength = 2048): NodeForm => ({
	hash: "sha256",
	options,
	make: () => generateKeyPairSync("rsa", { modulusLength }),
});
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };

const forms: Partial<Record<AlgorithmName, NodeForm>> = {
	Ed25519: { hash: null, options: {}, make: () => generateKeyPairSync("ed25519") },
	ES256: ec("prime256v1", "sha256"),
	ES384: ec("secp384r1", "sha384"),
	ES512: ec("secp521r1", "sha512"),
	ES256K: ec("secp256k1", "sha256"),
	RS256: rsa({ padding: constants.RSA_PKCS1_PADDING }),
	PS256: rsa(pss),
};
const known = Object.entries(forms).map(([name, form]) => ({
	name,
	form,
	algorithm: algorithms[name as AlgorithmName],
}));
const message = new Uint8Array(randomBytes(200));

function publicKeyOf(algorithm: Algorithm, key: KeyMaterial): KeyObject {
	return createPublicKey(algorithm.exportPem(publicOf(key)));
}

function pkcs8Of(key: KeyMaterial): KeyObject {
	const secret = secretOf(key);
	const der = secret.length === 32 ? toPkcs8(curves.secp256k1, secret) : secret;
	return createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" });
}

describe.each(known)("node:crypto and $name", ({ algorithm, form }) => {
	it("verifies what we sign", async () => {
		const { sign, key } = await openBoth(algorithm, "message");
		const { bytes } = await sign(message);
		const judge = { key: publicKeyOf(algorithm, key), ...form.options };
		expect(nodeVerify(form.hash, message, judge, bytes)).toBe(true);
		expect(nodeVerify(form.hash, message.subarray(1), judge, bytes)).toBe(false);
	});

	it("signs what we verify", async () => {
		const { verify, key } = await openBoth(algorithm, "message");
		const judge = { key: pkcs8Of(key), ...form.options };
		const signature = new Uint8Array(nodeSign(form.hash, message, judge));
		expect(await verify(message, signature)).toBe(true);
		expect(await verify(message.slice(1), signature)).toBe(false);
	});

	it("makes keys that we import from PKCS#8, SPKI and JWK", async () => {
		const { publicKey, privateKey } = form.make();
		const privatePem = String(privateKey.export({ format: "pem", type: "pkcs8" }));
		const publicPem = String(publicKey.export({ format: "pem", type: "spki" }));
		const privateJwk = privateKey.export({ format: "jwk" }) as Jwk;
		const publicJwk = publicKey.export({ format: "jwk" });
		const signature = new Uint8Array(
			nodeSign(form.hash, message, { key: privateKey, ...form.options }),
		);
		for (const text of [privatePem, privateJwk, publicPem, publicJwk as Jwk]) {
			const imported = unwrap(await algorithm.importKey(text));
			expect(imported.publicJwk).toEqual(publicJwk);
			expect(await (await verifierOf(algorithm, imported, "message"))(message, signature)).toBe(
				true,
			);
			if (imported.secret === null) continue;
			const { bytes } = await (await algorithm.signer(secretOf(imported), "message"))(message);
			const judge = { key: publicKey, ...form.options };
			expect(nodeVerify(form.hash, message, judge, bytes)).toBe(true);
		}
	});

	it("reads the keys that we export", async () => {
		const key = await keyOf(algorithm);
		const publicJwk = publicOf(key);
		const fromJwk = createPublicKey({ key: { ...publicJwk }, format: "jwk" } as JsonWebKeyInput);
		expect(fromJwk.equals(publicKeyOf(algorithm, key))).toBe(true);
		expect(publicKeyOf(algorithm, key).export({ format: "jwk" })).toEqual(publicJwk);
		const ours = algorithm.exportPem(publicJwk);
		expect(ours).toBe(fromJwk.export({ format: "pem", type: "spki" }));
		const privateJwk = await privateJwkOf(algorithm, key);
		expect(pkcs8Of(key).export({ format: "jwk" })).toEqual(privateJwk);
	});
});

describe("node:crypto and ECDSA", () => {
	const ecdsa = known.filter(({ algorithm }) => algorithm.encodings.includes("der"));

	it.each(ecdsa)("reads and writes the DER of $name as we do", async ({ algorithm, form }) => {
		const { sign, verify, key } = await openBoth(algorithm, "message");
		const { bytes } = await sign(message);
		const judge = { key: publicKeyOf(algorithm, key), dsaEncoding: "der" as const };
		expect(nodeVerify(form.hash, message, judge, toDer(bytes))).toBe(true);
		expect(Buffer.from(encodeSignature(bytes, "der"), "base64")).toEqual(Buffer.from(toDer(bytes)));
		const mine = { key: pkcs8Of(key), dsaEncoding: "der" as const };
		const der = toBase64(nodeSign(form.hash, message, mine));
		expect(await verify(message, unwrap(decodeSignature(algorithm, der, "der")))).toBe(true);
	});

	it.each(ecdsa)("verifies what $name signs of a digest", async ({ algorithm, form }) => {
		const { sign, verify, key } = await openBoth(algorithm, "digest");
		const hash = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" }[form.hash ?? ""] ?? "";
		const digest = new Uint8Array(await crypto.subtle.digest(hash, message));
		const judge = { key: publicKeyOf(algorithm, key), ...form.options };
		expect(nodeVerify(form.hash, message, judge, (await sign(digest)).bytes)).toBe(true);
		const mine = { key: pkcs8Of(key), ...form.options };
		expect(await verify(digest, new Uint8Array(nodeSign(form.hash, message, mine)))).toBe(true);
	});

	it("agrees with us on what a compressed point stands for", async () => {
		const publicJwk = publicOf(await keyOf(algorithms.ES256));
		const point = algorithms.ES256.exportRaw(publicJwk) ?? new Uint8Array();
		const compressed = ECDH.convertKey(point, "prime256v1", undefined, undefined, "compressed");
		const text = writePublicPem(
			curves["P-256"].algorithmId,
			Uint8Array.from(Buffer.from(compressed)),
		);
		expect(createPublicKey(text).export({ format: "jwk" })).toEqual(publicJwk);
		expect(unwrap(await algorithms.ES256.importKey(text)).publicJwk).toEqual(publicJwk);
	});

	it("with explicit curve parameters is refused", async () => {
		const { privateKey } = generateKeyPairSync("ec", {
			namedCurve: "prime256v1",
			paramEncoding: "explicit",
		});
		const text = String(privateKey.export({ format: "pem", type: "pkcs8" }));
		expect(await algorithms.ES256.importKey(text)).toMatchObject({
			error: { code: "invalid_key_material" },
		});
	});
});

describe("node:crypto and RSA", () => {
	it.each([2048, 3072, 4096])("makes keys of %i bits that we import", async (modulusLength) => {
		const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength });
		const text = String(privateKey.export({ format: "pem", type: "pkcs8" }));
		const key = unwrap(await algorithms.PS256.importKey(text));
		expect(algorithms.PS256.modulusLengthOf(publicOf(key))).toBe(modulusLength);
		const { bytes } = await (await algorithms.PS256.signer(secretOf(key), "message"))(message);
		expect(nodeVerify("sha256", message, { key: publicKey, ...pss }, bytes)).toBe(true);
	});

	it("makes keys with the exponent 3 that we import", async () => {
		const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 });
		const text = String(privateKey.export({ format: "pem", type: "pkcs8" }));
		expect(publicOf(unwrap(await algorithms.RS256.importKey(text)))).toMatchObject({ e: "Aw" });
	});

	it.each([
		["of 1024 bits", 1024, 65537],
		["with the exponent 5", 2048, 5],
	])("%s are refused", async (_what, modulusLength, publicExponent) => {
		const { privateKey } = generateKeyPairSync("rsa", { modulusLength, publicExponent });
		const text = String(privateKey.export({ format: "pem", type: "pkcs8" }));
		expect(await algorithms.RS256.importKey(text)).toMatchObject({
			error: { code: "invalid_key_material" },
		});
	});

	it("bound to PSS (id-RSASSA-PSS) are refused", async () => {
		const { privateKey } = generateKeyPairSync("rsa-pss", { modulusLength: 2048 });
		const text = String(privateKey.export({ format: "pem", type: "pkcs8" }));
		expect(await algorithms.PS256.importKey(text)).toMatchObject({
			error: { detail: expect.stringContaining("rsaEncryption") },
		});
	});
});

describe("node:crypto and PEM that we do not take", () => {
	const { privateKey: ecKey } = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
	const { privateKey: rsaKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
	const passphrase = "correct horse";

	it.each([
		["SEC 1", algorithms.ES256K, ecKey.export({ format: "pem", type: "sec1" })],
		["PKCS #1", algorithms.RS256, rsaKey.export({ format: "pem", type: "pkcs1" })],
		[
			"encrypted PKCS#8",
			algorithms.ES256K,
			ecKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase }),
		],
	])("as %s is refused, and what is taken is said", async (_what, algorithm, text) => {
		const found = await algorithm.importKey(String(text));
		expect(found).toMatchObject({
			error: { code: "invalid_key_material", detail: expect.stringContaining("PKCS#8") },
		});
	});
});

describe("node:crypto and HS256", () => {
	it("makes the tag that we make", async () => {
		const key = new Uint8Array(randomBytes(48));
		const imported = await algorithms.HS256.importKey({ kty: "oct", k: toBase64Url(key) });
		const sign = await algorithms.HS256.signer(secretOf(unwrap(imported)), "message");
		const tag = createHmac("sha256", key).update(message).digest();
		expect(Buffer.from((await sign(message)).bytes)).toEqual(tag);
	});
});

describe("node:crypto and BIP340", () => {
	it("reads the even point that a key stands for", async () => {
		const key = await keyOf(algorithms.BIP340);
		const point = publicKeyOf(algorithms.BIP340, key).export({ format: "jwk" });
		expect(point).toEqual(publicOf(key));
	});
});

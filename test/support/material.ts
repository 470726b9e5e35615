import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { schnorr, secp256k1 } from "@noble/curves/secp256k1.js";
import { type Bytes, fromBase64Url, toBase64, toBase64Url, utf8 } from "../../src/lib/bytes.ts";
import type { AlgorithmName } from "../../src/model.ts";

export type Jwk = Record<string, unknown>;

/**
 * A key as a caller would bring it, in all its forms. It is made by WebCrypto or noble directly,
 * with nothing of the service in between, which so gets judged.
 */
export interface Material {
	readonly algorithm: AlgorithmName;
	readonly privateJwk: Jwk;
	/** null for HS256, which has no public half, and no PEM. */
	readonly publicJwk: Jwk | null;
	readonly pkcs8: string | null;
	readonly spki: string | null;
	/** The signature in its raw form. */
	sign(message: Bytes): Promise<Bytes>;
	verify(message: Bytes, signature: Bytes): Promise<boolean>;
}

interface WebCryptoRow {
	readonly key: SubtleCryptoGenerateKeyAlgorithm & { readonly hash?: string };
	readonly operation: string | SubtleCryptoSignAlgorithm;
}

const rsaKey = { modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1), hash: "SHA-256" };

const webCrypto: Partial<Record<AlgorithmName, WebCryptoRow>> = {
	Ed25519: { key: { name: "Ed25519" }, operation: "Ed25519" },
	ES256: {
		key: { name: "ECDSA", namedCurve: "P-256" },
		operation: { name: "ECDSA", hash: "SHA-256" },
	},
	ES384: {
		key: { name: "ECDSA", namedCurve: "P-384" },
		operation: { name: "ECDSA", hash: "SHA-384" },
	},
	ES512: {
		key: { name: "ECDSA", namedCurve: "P-521" },
		operation: { name: "ECDSA", hash: "SHA-512" },
	},
	RS256: { key: { name: "RSASSA-PKCS1-v1_5", ...rsaKey }, operation: "RSASSA-PKCS1-v1_5" },
	PS256: {
		key: { name: "RSA-PSS", ...rsaKey },
		operation: { name: "RSA-PSS", saltLength: 32 },
	},
	HS256: { key: { name: "HMAC", hash: "SHA-256" }, operation: "HMAC" },
};

const made = new Map<AlgorithmName, Promise<Material>>();

/** One key for each algorithm and test file: RSA keys are slow to make. */
export function materialOf(algorithm: AlgorithmName): Promise<Material> {
	const known = made.get(algorithm) ?? newMaterial(algorithm);
	made.set(algorithm, known);
	return known;
}

export async function newMaterial(
	algorithm: AlgorithmName,
	rsaBits: number = rsaKey.modulusLength,
): Promise<Material> {
	const row = webCrypto[algorithm];
	if (!row) return secp256k1Material(algorithm);
	const size = algorithm === "RS256" || algorithm === "PS256" ? { modulusLength: rsaBits } : {};
	const pair = await crypto.subtle.generateKey({ ...row.key, ...size }, true, ["sign", "verify"]);
	const { privateKey, publicKey } =
		"privateKey" in pair ? pair : { privateKey: pair, publicKey: pair };
	const symmetric = algorithm === "HS256";
	return {
		algorithm,
		privateJwk: await exportJwk(privateKey),
		publicJwk: symmetric ? null : await exportJwk(publicKey),
		pkcs8: symmetric ? null : toPem("PRIVATE KEY", await exportKey("pkcs8", privateKey)),
		spki: symmetric ? null : toPem("PUBLIC KEY", await exportKey("spki", publicKey)),
		sign: async (message) =>
			new Uint8Array(await crypto.subtle.sign(row.operation, privateKey, message)),
		verify: (message, signature) =>
			crypto.subtle.verify(row.operation, publicKey, signature, message),
	};
}

/** DER up to the key itself: PKCS#8 with an ECPrivateKey of secp256k1, and SPKI (RFC 5915, RFC 5480). */
const pkcs8Head = "303e020100301006072a8648ce3d020106052b8104000a042730250201010420";
const spkiHead = "3056301006072a8648ce3d020106052b8104000a034200";

function secp256k1Material(algorithm: AlgorithmName): Material {
	const scalar = secp256k1.utils.randomSecretKey() as Bytes;
	const point = secp256k1.getPublicKey(scalar, false) as Bytes;
	const publicJwk = {
		kty: "EC",
		crv: "secp256k1",
		x: toBase64Url(point.subarray(1, 33)),
		y: toBase64Url(point.subarray(33)),
	};
	const forms = {
		algorithm,
		privateJwk: { ...publicJwk, d: toBase64Url(scalar) },
		publicJwk,
		pkcs8: toPem("PRIVATE KEY", joined(pkcs8Head, scalar)),
		spki: toPem("PUBLIC KEY", joined(spkiHead, point)),
	};
	if (algorithm === "BIP340") {
		const x = point.subarray(1, 33);
		return {
			...forms,
			sign: async (message) => schnorr.sign(message, scalar) as Bytes,
			verify: async (message, signature) => schnorr.verify(signature, message, x),
		};
	}
	return {
		...forms,
		sign: async (message) => secp256k1.sign(message, scalar) as Bytes,
		verify: async (message, signature) =>
			secp256k1.verify(signature, message, point, { lowS: false }),
	};
}

async function exportJwk(key: CryptoKey): Promise<Jwk> {
	const jwk = (await crypto.subtle.exportKey("jwk", key)) as unknown as Jwk;
	const { alg: _alg, ext: _ext, key_ops: _ops, ...members } = jwk;
	// workerd lists the members that a key has not, as undefined.
	return JSON.parse(JSON.stringify(members));
}

async function exportKey(format: "pkcs8" | "spki", key: CryptoKey): Promise<Bytes> {
	return new Uint8Array((await crypto.subtle.exportKey(format, key)) as ArrayBuffer);
}

export function toPem(label: string, der: Uint8Array): string {
	const lines = toBase64(der).match(/.{1,64}/g) ?? [];
	return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

function joined(headHex: string, tail: Uint8Array): Bytes {
	const head = fromHex(headHex);
	const bytes = new Uint8Array(head.length + tail.length);
	bytes.set(head);
	bytes.set(tail, head.length);
	return bytes;
}

function fromHex(text: string): Bytes {
	const bytes = new Uint8Array(text.length / 2);
	for (let i = 0; i < bytes.length; i++)
		bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
	return bytes;
}

/** Verifies with a public JWK that the service handed out, and nothing of the service. */
export async function judge(
	algorithm: AlgorithmName,
	jwk: Jwk,
	message: Bytes,
	signature: Bytes,
): Promise<boolean> {
	const row = webCrypto[algorithm];
	if (!row) return judgeSecp256k1(algorithm, jwk, message, signature);
	const key = await crypto.subtle.importKey("jwk", jwk as unknown as JsonWebKey, row.key, false, [
		"verify",
	]);
	return crypto.subtle.verify(row.operation, key, signature, message);
}

/** The same for a digest, which WebCrypto does not take. */
export function judgeDigest(
	algorithm: AlgorithmName,
	jwk: Jwk,
	digest: Bytes,
	signature: Bytes,
): boolean {
	const options = { prehash: false, lowS: false };
	if (algorithm === "ES256") return p256.verify(signature, digest, pointOf(jwk), options);
	if (algorithm === "ES384") return p384.verify(signature, digest, pointOf(jwk), options);
	if (algorithm === "ES512") return p521.verify(signature, digest, pointOf(jwk), options);
	if (algorithm === "ES256K") return secp256k1.verify(signature, digest, pointOf(jwk), options);
	if (algorithm === "BIP340") return schnorr.verify(signature, digest, coordinate(jwk, "x"));
	throw new Error(`${algorithm} signs no digest`);
}

function judgeSecp256k1(algorithm: AlgorithmName, jwk: Jwk, message: Bytes, signature: Bytes) {
	if (algorithm === "BIP340") return schnorr.verify(signature, message, coordinate(jwk, "x"));
	return secp256k1.verify(signature, message, pointOf(jwk), { lowS: false });
}

function pointOf(jwk: Jwk): Bytes {
	return joined(`04${hex(coordinate(jwk, "x"))}`, coordinate(jwk, "y"));
}

function coordinate(jwk: Jwk, member: "x" | "y"): Bytes {
	const bytes = fromBase64Url(String(jwk[member]));
	if (!bytes) throw new Error(`the JWK's ${member} is not base64url`);
	return bytes;
}

function hex(bytes: Uint8Array): string {
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The public key with another x, so that it is no point of its curve any more. */
export function unlikeX(jwk: Jwk): Jwk {
	const bytes = coordinate(jwk, "x");
	const last = bytes.length - 1;
	for (let step = 0; step < 256; step++) {
		bytes[last] = ((bytes[last] ?? 0) + 1) & 0xff;
		// A point of an elliptic curve has its own y beside it, which fits no other x.
		if (jwk.kty === "EC" || !isEd25519Point(bytes)) return { ...jwk, x: toBase64Url(bytes) };
	}
	throw new Error("256 points of Ed25519 in a row");
}

function isEd25519Point(bytes: Uint8Array): boolean {
	try {
		ed25519.Point.fromBytes(bytes);
		return true;
	} catch {
		return false;
	}
}

export const message = utf8("a message for every judge");

/** Made by OpenSSL: WebCrypto makes none of this size. */
export const rsaOf2056Bits: Jwk = {
	kty: "RSA",
	n: "yJopGnCrtxWdRkTUYVqtAbdD-HjtOTQqjzC9jYFphLPpdjykBg767Hhq42vnVUmOwsCBeJrka0mqPRv5jChglhD3Rkr_DP6la-yDgBXOJlQ0L-JPkq3gfEZ2lcEGT--CRLoe4BqHewwdZflIxQ3SBnqG3RDuuSFAymtdyDrlSCl6U5AVViZYGsdiC-DiPudp_2rYMf3jsG5O6lMMCyFuGwjyh_mocTJsZmPf5n8f4QmkWKVs4753ZcvLULctIx5ieRyPYIyz7VdciCXRFhnhV8FszIaABdi4Tgo8j0_XOz1jBH0sBOl62wBTWF6hdAxNEfh58LWcrvOexqaIwPiYq_c",
	e: "AQAB",
	d: "RHSbNzsg1iMpnwupACn95RqBtv6pUX6UUXX8EZiKhi8RKfiqrqiZB25WZ5JwiKHH9nzUEfClp1kln6H2yFYVE9DpWVMJc4lIsSoue9y1E05j2r1bkz4D39T57cPHoCqnJUXweGCFQD_TnnNx2lELjYttj24SURngbtMx1z0F9lirimuGpFx7fc6lzpJNnuH4upcvARIKo-FPULoyt8vJ22jao0xg-UgN2RQPtK-cvFCy9yIFwI1qw8ECAKou__9pgsabY4RJC4pD8fnMacW2eCJGffou-Zwgy9Qg7d-PcQR9cmdTynArsnutdIQd57NNAs4m8PKVJGxd8RCoz0cz_Hk",
	p: "DqMcdiqmjQ1vjoD5bGaGafNTN_Vksi67mZ1NESeyrwUeh01cmMGAwXlOvIjjYFeXEMrScuUEP2oByvsuW7R1gd4eAeJaNW2pxOgxv0mOK6CwSgXX18xmFUU8TZ51332J8l-MoF74a4T73710ufkVYnhilsFfQK4tqHLM_oz6Woy_",
	q: "DbR66aBYhuOs6gbzbm_kayo0MKsdq2RiNPuY1hTh4C53az6P_GtuZNSlFrhNgsRjLt1rQlrEvA3DVKYMadCGO9nLnmGUFo2a7bfv696YhBQEZOsEkLQqtPAC_1OnYwe4zZ8WVDEK40sDR2ygygwVZYZkqevtaL-1xzJMXP65yFbJ",
	dp: "CQ0Jk3RKKtyNB_Rux34aTbe91NN0Ic5OCO5A8oO2tQ0YVJgc0wSMppZpfqGy4CcpbaPNQGinGMNnOmnZv7E2HEkKCyY5m-Ik4XKnGF7Wf9nMSOmWD4X_9dUrNd_viXQqceptndk8Cdhgm3iejkUc2RgR9qC6UtehuhDK-_iW8pkn",
	dq: "BovyMuu_nh_gF6LeYiDdEjwE1kLHV3oKV5jf91PeWkKYFQi7qy5-e3gArIu5qv-5CUgH1piZZeOFLUhsoZdUp_5v_-ZI4UUffvLgjuG0JVOSjcqeUalexTPpmqIRUYL8ymx2NB2BP_YzSMkhPaLsDaVXLLxgmisJ4G-sfrfHc2XR",
	qi: "YcpJcBUsRjSQJKwaF-zoXfgAQyHZPtHCGJas_DGGzriT73SRLpHg9dj-O9pdrwLEokt-PlUhpWCsRSKB6mbcEdoIsuDi5cauYh2Tnyg7Ne0TXUwOoAOg_2ef1Q_EmNYiPtIIaY_XTuDOSNpdCmeENlup909TXhqS-4sfw5GS-GY",
};

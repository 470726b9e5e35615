import type { Failure } from "../errors.ts";
import { type Bytes, equalConstantTime, fromBase64Url, toBase64Url } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import type { PublicJwk } from "../model.ts";
import { readOnly, tags, writeElement } from "./asn1.ts";
import { hasSecret, type Jwk, type JwkKind, readMember, refuseJwk, samePublic } from "./jwk.ts";
import { readPem, refuseKey, refusePair, writePrivateKeyInfo, writePublicPem } from "./keyinfo.ts";
import type { Algorithm, KeyMaterial } from "./types.ts";
import {
	exportBytes,
	exportJwk,
	type Parameters,
	requireMessage,
	tryImport,
	webCryptoSigner,
	webCryptoVerifier,
} from "./webcrypto.ts";

const name = "Ed25519";
const parameters: Parameters = { key: { name }, operation: name };
const seedBytes = 32;
const pointBytes = 32;
const signatureBytes = 64;
const jwkKind: JwkKind = { name, kty: "OKP", crv: name, algs: ["Ed25519", "EdDSA"] };
/** id-Ed25519 (RFC 8410 section 3). */
const algorithmId = Uint8Array.of(0x06, 0x03, 0x2b, 0x65, 0x70);

/** The two halves as a text gave them. */
interface Halves {
	readonly seed: Bytes | null;
	readonly point: Bytes | null;
}

/** EdDSA of RFC 8032 section 5.1: PureEdDSA, so there is no digest form. */
export const ed25519: Algorithm = {
	name,
	digestBytes: null,
	encodings: ["raw", "jws"],
	formats: ["jwk", "pem", "raw"],
	jose: "EdDSA",
	symmetric: false,
	modulusLengths: null,
	generationCost: () => 1,
	signatureBytes,

	async generate() {
		const pair = await crypto.subtle.generateKey(parameters.key, true, ["sign", "verify"]);
		return materialOf((pair as CryptoKeyPair).privateKey);
	},

	async importKey(key) {
		const halves = typeof key === "string" ? readHalves(key) : readJwk(key);
		if (!halves.ok) return halves;
		const { seed, point } = halves.value;
		if (point && !(await import("./noble-ed25519.ts")).isPublicKey(point)) {
			return refuseKey("The public key is not a point of Ed25519 that can be a key.");
		}
		if (!seed) return ok({ secret: null, publicJwk: point && toJwk(point) });
		const pkcs8 = writePrivateKeyInfo(algorithmId, writeElement(tags.octetString, seed));
		const privateKey = await tryImport("pkcs8", pkcs8, parameters, "sign");
		if (!privateKey) return refuseKey("The private key is not an Ed25519 seed.");
		const material = await materialOf(privateKey);
		return point && !samePublic(toJwk(point), material.publicJwk) ? refusePair() : ok(material);
	},

	exportPem: (jwk) => writePublicPem(algorithmId, rawOf(jwk)),
	exportRaw: rawOf,
	modulusLengthOf: () => undefined,

	signer(secret, kind) {
		requireMessage(name, kind);
		return webCryptoSigner("pkcs8", secret, parameters);
	},

	async verifier(key, kind) {
		requireMessage(name, kind);
		if (!("publicJwk" in key)) throw new TypeError(`${name} verifies with the public half`);
		const point = rawOf(key.publicJwk);
		const publicKey = await crypto.subtle.importKey("raw", point, parameters.key, false, [
			"verify",
		]);
		return webCryptoVerifier(publicKey, parameters, signatureBytes);
	},
};

async function materialOf(privateKey: CryptoKey): Promise<KeyMaterial> {
	const { x } = await exportJwk(privateKey);
	if (x === undefined) throw new Error(`WebCrypto exported an ${name} key without x`);
	const publicJwk: PublicJwk = { kty: "OKP", crv: name, x };
	return { secret: await exportBytes("pkcs8", privateKey), publicJwk };
}

function readJwk(jwk: Jwk): Result<Halves, Failure> {
	const refused = refuseJwk(jwk, jwkKind);
	if (refused) return refused;
	const point = readMember(jwk, "x", pointBytes);
	if (!point.ok) return point;
	if (!hasSecret(jwk)) return ok({ seed: null, point: point.value });
	const seed = readMember(jwk, "d", seedBytes);
	return seed.ok ? ok({ seed: seed.value, point: point.value }) : seed;
}

function readHalves(pem: string): Result<Halves, Failure> {
	const info = readPem(pem);
	if (!info.ok) return info;
	const { half, key, publicKey } = info.value;
	if (!equalConstantTime(info.value.algorithmId, algorithmId)) {
		return refuseKey("For Ed25519 the PEM must hold an Ed25519 key (RFC 8410).");
	}
	const seed = half === "private" ? readOnly(key, tags.octetString) : null;
	const point = half === "private" ? publicKey : key;
	if (half === "private" && seed?.length !== seedBytes) {
		return refuseKey(`An Ed25519 private key must be ${seedBytes} bytes.`);
	}
	if (point && point.length !== pointBytes) {
		return refuseKey(`An Ed25519 public key must be ${pointBytes} bytes, it has ${point.length}.`);
	}
	return ok({ seed, point });
}

function toJwk(point: Bytes): PublicJwk {
	return { kty: "OKP", crv: name, x: toBase64Url(point) };
}

function rawOf(jwk: PublicJwk): Bytes {
	const point = jwk.kty === "OKP" ? fromBase64Url(jwk.x) : null;
	if (point?.length !== pointBytes) throw new Error(`an Ed25519 public key is kept as ${jwk.kty}`);
	return point;
}

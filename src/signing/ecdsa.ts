import type { Failure } from "../errors.ts";
import type { Bytes } from "../lib/bytes.ts";
import { systemRandom } from "../lib/random.ts";
import { ok, type Result } from "../lib/result.ts";
import type { PublicJwk } from "../model.ts";
import {
	type Curve,
	curves,
	type EcKind,
	ecKind,
	pointOf,
	readEcKey,
	scalarOf,
	toEcJwk,
	toEcPem,
	toPkcs8,
} from "./ec.ts";
import { type Jwk, samePublic } from "./jwk.ts";
import { refuseKey, refusePair } from "./keyinfo.ts";
import type { NistCurve } from "./noble-nist.ts";
import type { Algorithm, KeyMaterial, Signer, Verifier } from "./types.ts";
import {
	exportBytes,
	exportJwk,
	type Parameters,
	requireDigest,
	tryImport,
	webCryptoSigner,
	webCryptoVerifier,
} from "./webcrypto.ts";

export interface NistEcdsa {
	readonly name: "ES256" | "ES384" | "ES512";
	readonly curve: NistCurve;
	readonly hash: "SHA-256" | "SHA-384" | "SHA-512";
	readonly digestBytes: number;
}

/** RFC 6979 section 3.6 asks for as much randomness as is wanted of the hedge; 256 bits are plenty. */
const entropyBytes = 32;

/**
 * ECDSA on a NIST curve (RFC 7518 section 3.4). WebCrypto signs messages; a digest, which it can
 * not sign, goes through noble. Neither forces a low s.
 */
export function ecdsa(row: NistEcdsa): Algorithm {
	const { name, hash, digestBytes } = row;
	const curve = curves[row.curve];
	const parameters: Parameters = {
		key: { name: "ECDSA", namedCurve: row.curve },
		operation: { name: "ECDSA", hash },
	};
	const signatureBytes = 2 * curve.coordinateBytes;
	const kind = ecKind(name, curve, [name]);

	return {
		name,
		digestBytes,
		encodings: ["raw", "der", "jws"],
		formats: ["jwk", "pem", "raw"],
		jose: name,
		symmetric: false,
		modulusLengths: null,
		generationCost: () => 1,
		signatureBytes,

		async generate() {
			const pair = await crypto.subtle.generateKey(parameters.key, true, ["sign", "verify"]);
			return materialOf((pair as CryptoKeyPair).privateKey, curve);
		},

		importKey: (key) => importKey(key, kind, parameters),
		exportPem: (jwk) => toEcPem(curve, jwk),
		exportRaw: pointOf,
		modulusLengthOf: () => undefined,

		signer: (secret, input) =>
			input === "message"
				? webCryptoSigner("pkcs8", secret, parameters)
				: digestSigner(row, scalarOf(secret, curve).slice()),

		async verifier(key, input) {
			if (!("publicJwk" in key)) throw new TypeError(`${name} verifies with the public half`);
			const point = pointOf(key.publicJwk);
			if (input === "digest") return digestVerifier(row, point, signatureBytes);
			const usages = ["verify"];
			const publicKey = await crypto.subtle.importKey("raw", point, parameters.key, false, usages);
			return webCryptoVerifier(publicKey, parameters, signatureBytes);
		},
	};
}

async function importKey(
	key: string | Jwk,
	kind: EcKind,
	parameters: Parameters,
): Promise<Result<KeyMaterial, Failure>> {
	const { curve } = kind;
	const found = readEcKey(key, kind);
	if (!found.ok) return found;
	const { scalar, point } = found.value;
	const publicKey = point && (await tryImport("raw", point, parameters, "verify"));
	if (point && !publicKey) return refuseKey(`The public key is not a point of ${curve.name}.`);
	const publicJwk = publicKey && toEcJwk(curve, await exportBytes("raw", publicKey));
	if (!scalar) return ok({ secret: null, publicJwk });
	const privateKey = await tryImport("pkcs8", toPkcs8(curve, scalar), parameters, "sign");
	if (!privateKey) {
		return refuseKey(`The private key is not from 1 to the order of ${curve.name} less 1.`);
	}
	const material = await materialOf(privateKey, curve);
	return publicJwk && !samePublic(publicJwk, material.publicJwk) ? refusePair() : ok(material);
}

async function digestSigner(row: NistEcdsa, scalar: Bytes): Promise<Signer> {
	const { signDigest } = await import("./noble-nist.ts");
	return async (digest) => {
		requireDigest(row.name, digest, row.digestBytes);
		return { bytes: signDigest(row.curve, digest, scalar, systemRandom(entropyBytes)) };
	};
}

async function digestVerifier(
	row: NistEcdsa,
	point: Bytes,
	signatureBytes: number,
): Promise<Verifier> {
	const { verifyDigest } = await import("./noble-nist.ts");
	return async (digest, signature) =>
		digest.length === row.digestBytes &&
		signature.length === signatureBytes &&
		verifyDigest(row.curve, digest, point, signature);
}

async function materialOf(privateKey: CryptoKey, curve: Curve): Promise<KeyMaterial> {
	const { x, y } = await exportJwk(privateKey);
	if (x === undefined || y === undefined) throw new Error("WebCrypto exported a key without x, y");
	const publicJwk: PublicJwk = { kty: "EC", crv: curve.name, x, y };
	return { secret: await exportBytes("pkcs8", privateKey), publicJwk };
}

import type { Failure } from "../errors.ts";
import type { Bytes } from "../lib/bytes.ts";
import { systemRandom } from "../lib/random.ts";
import { ok, type Result } from "../lib/result.ts";
import { curves, type EcKind, ecKind, pointOf, readEcKey, toEcJwk, toEcPem } from "./ec.ts";
import { type Jwk, samePublic } from "./jwk.ts";
import { refuseKey, refusePair } from "./keyinfo.ts";
import type { Algorithm, KeyMaterial, Signature } from "./types.ts";
import { requireDigest } from "./webcrypto.ts";

const curve = curves.secp256k1;
const xEnd = 1 + curve.coordinateBytes;
const digestBytes = 32;
const signatureBytes = 64;
/** Of the hedge (RFC 6979 section 3.6), and of BIP-340's auxiliary randomness. */
const entropyBytes = 32;
const ecdsaKind = ecKind("ES256K", curve, ["ES256K"]);
const schnorrKind = ecKind("BIP340", curve, [], true);

/**
 * ECDSA on secp256k1 with SHA-256 (RFC 8812 section 3.2). Signs with a low s always and tells the
 * recovery id; verifies a high s too, which RFC 8812 does not forbid.
 */
export const es256k: Algorithm = {
	name: "ES256K",
	digestBytes,
	encodings: ["raw", "der", "jws"],
	formats: ["jwk", "pem", "raw"],
	jose: "ES256K",
	symmetric: false,
	modulusLengths: null,
	generationCost: () => 1,
	signatureBytes,

	generate: () => generate(anyParity),
	importKey: (key) => importKey(key, ecdsaKind, anyParity),
	exportPem: (jwk) => toEcPem(curve, jwk),
	exportRaw: pointOf,
	modulusLengthOf: () => undefined,

	async signer(secret, kind) {
		const { signDigest } = await import("./noble-secp256k1.ts");
		const scalar = secret.slice();
		const sign = (digest: Bytes): Signature => {
			const recovered = signDigest(digest, scalar, systemRandom(entropyBytes));
			// The id is 2 or 3 where R's x is not below the order: about once in 2^127 signatures.
			return { bytes: recovered.slice(1), recoveryId: recovered[0] ?? 0 };
		};
		if (kind === "message") return async (message) => sign(await sha256(message));
		return async (digest) => {
			requireDigest("ES256K", digest, digestBytes);
			return sign(digest);
		};
	},

	async verifier(key, kind) {
		if (!("publicJwk" in key)) throw new TypeError("ES256K verifies with the public half");
		const { verifyDigest } = await import("./noble-secp256k1.ts");
		const point = pointOf(key.publicJwk);
		if (kind === "message") {
			return async (message, signature) =>
				signature.length === signatureBytes &&
				verifyDigest(await sha256(message), point, signature);
		}
		return async (digest, signature) =>
			digest.length === digestBytes &&
			signature.length === signatureBytes &&
			verifyDigest(digest, point, signature);
	},
};

/**
 * Schnorr signatures of BIP-340. A message is BIP-340's m itself, of any length and not hashed;
 * a digest is an m of 32 bytes. A public key is an x alone: as a JWK or PEM it has the even y.
 */
export const bip340: Algorithm = {
	name: "BIP340",
	digestBytes,
	encodings: ["raw"],
	formats: ["jwk", "pem", "raw"],
	jose: null,
	symmetric: false,
	modulusLengths: null,
	generationCost: () => 1,
	signatureBytes,

	generate: () => generate(evenParity),
	importKey: (key) => importKey(key, schnorrKind, evenParity),
	exportPem: (jwk) => toEcPem(curve, jwk),
	exportRaw: (jwk) => pointOf(jwk).slice(1, xEnd),
	modulusLengthOf: () => undefined,

	async signer(secret, kind) {
		const { signSchnorr } = await import("./noble-secp256k1.ts");
		const scalar = secret.slice();
		return async (bytes) => {
			if (kind === "digest") requireDigest("BIP340", bytes, digestBytes);
			return { bytes: signSchnorr(bytes, scalar, systemRandom(entropyBytes)) };
		};
	},

	async verifier(key, kind) {
		if (!("publicJwk" in key)) throw new TypeError("BIP340 verifies with the public half");
		const { verifySchnorr } = await import("./noble-secp256k1.ts");
		const x = pointOf(key.publicJwk).slice(1, xEnd);
		return async (bytes, signature) =>
			signature.length === signatureBytes &&
			(kind === "message" || bytes.length === digestBytes) &&
			verifySchnorr(bytes, x, signature);
	},
};

/** The point that stands for a public key, as compressed or uncompressed SEC 1 bytes. */
type Parity = (point: Bytes) => Bytes;

const anyParity: Parity = (point) => point;
/** lift_x of BIP-340: whatever y was given, the key is the point with this x and the even y. */
const evenParity: Parity = (point) => {
	const compressed = point.slice(0, xEnd);
	compressed[0] = 2;
	return compressed;
};

async function generate(parity: Parity): Promise<KeyMaterial> {
	const { newScalar, seedBytes } = await import("./noble-secp256k1.ts");
	const material = await materialOf(newScalar(systemRandom(seedBytes)), parity);
	if (!material) throw new Error("a new secp256k1 scalar is out of range");
	return material;
}

async function importKey(
	key: string | Jwk,
	kind: EcKind,
	parity: Parity,
): Promise<Result<KeyMaterial, Failure>> {
	const found = readEcKey(key, kind);
	if (!found.ok) return found;
	const { scalar, point } = found.value;
	const { decompress } = await import("./noble-secp256k1.ts");
	// First as it was given, so that a y that is not on the curve is refused even where it is ignored.
	const whole = point && decompress(point);
	if (point && !whole) return refuseKey("The public key is not a point of secp256k1.");
	const publicPoint = whole && decompress(parity(whole));
	const publicJwk = publicPoint && toEcJwk(curve, publicPoint);
	if (!scalar) return ok({ secret: null, publicJwk });
	const material = await materialOf(scalar, parity);
	if (!material)
		return refuseKey("The private key is not from 1 to the order of secp256k1 less 1.");
	return publicJwk && !samePublic(publicJwk, material.publicJwk) ? refusePair() : ok(material);
}

/** Null where the scalar is zero or not below the curve's order. */
async function materialOf(scalar: Bytes, parity: Parity): Promise<KeyMaterial | null> {
	const { decompress, publicPoint } = await import("./noble-secp256k1.ts");
	const whole = publicPoint(scalar);
	const point = whole && decompress(parity(whole));
	return point && { secret: scalar.slice(), publicJwk: toEcJwk(curve, point) };
}

async function sha256(message: Bytes): Promise<Bytes> {
	return new Uint8Array(await crypto.subtle.digest("SHA-256", message));
}

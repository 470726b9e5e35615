import type { Failure } from "../errors.ts";
import type { Bytes } from "../lib/bytes.ts";
import type { Result } from "../lib/result.ts";
import type { AlgorithmName, PublicJwk } from "../model.ts";

/** raw: base64 of the signature's fixed-length bytes. der: base64 of ECDSA-Sig-Value. jws: unpadded base64url as in RFC 7515. */
export const encodings = ["raw", "der", "jws"] as const;
export type Encoding = (typeof encodings)[number];

export const publicFormats = ["jwk", "pem", "raw"] as const;
export type PublicFormat = (typeof publicFormats)[number];

/** What is signed: the message itself, or its digest where the algorithm can take one. */
export type Input =
	| { readonly kind: "message"; readonly bytes: Bytes }
	| { readonly kind: "digest"; readonly bytes: Bytes };
export type InputKind = Input["kind"];

/** A new or imported key. `secret` is the algorithm's own serialisation, and is only ever stored sealed. */
export interface KeyMaterial {
	/** PKCS#8 where WebCrypto has the algorithm, the 32-byte scalar for secp256k1, the bytes for HMAC; null for a public-only key. */
	readonly secret: Bytes | null;
	/** null for HMAC, which has no public half. */
	readonly publicJwk: PublicJwk | null;
}

export interface Signature {
	/** r||s for ECDSA, R||S for EdDSA, bytes(R)||bytes(s) for BIP340, the integer for RSA, the tag for HMAC. */
	readonly bytes: Bytes;
	/** Only for ES256K: which of the two points R is (0 or 1), so that Ethereum can recover the signer. */
	readonly recoveryId?: number;
}

/** A private key in memory, ready to sign one kind of input. */
export type Signer = (bytes: Bytes) => Promise<Signature>;
/** A public key in memory, ready to verify one kind of input. A wrong signature is false, never an error. */
export type Verifier = (bytes: Bytes, signature: Bytes) => Promise<boolean>;

/** Bits that an RSA key can have; the first is what it has when nothing is said. */
export const rsaModulusLengths = [2048, 3072, 4096] as const;

/** One row of the algorithm table. Nothing outside the table decides by an algorithm's name. */
export interface Algorithm {
	readonly name: AlgorithmName;
	/** Length of the digest it signs in bytes; null where it signs only messages. */
	readonly digestBytes: number | null;
	readonly encodings: readonly Encoding[];
	readonly formats: readonly PublicFormat[];
	/** The `alg` of a JWS; null where JOSE has none. Only these keys are in a JWKS or sign a JWT. */
	readonly jose: string | null;
	/** A MAC: the same secret signs and verifies, and there is no public key. */
	readonly symmetric: boolean;
	/** Sizes a new key may have, the first by default; null where there is only one. RSA modulus in bits. */
	readonly modulusLengths: readonly number[] | null;
	/** What making a key counts against a limit, in tokens; a signature counts one. */
	readonly generationCost: (modulusLength?: number) => number;
	/** Bits of the RSA modulus of this key; undefined where the algorithm has one size. */
	modulusLengthOf(jwk: PublicJwk): number | undefined;

	generate(modulusLength?: number): Promise<KeyMaterial>;
	/** Takes a JWK (object) or a PEM (string: PKCS#8 or SPKI). `invalid_key_material` says what is wrong. */
	importKey(key: string | Readonly<Record<string, unknown>>): Promise<Result<KeyMaterial, Failure>>;
	/** SubjectPublicKeyInfo in PEM (RFC 7468 section 13), the EC point uncompressed. */
	exportPem(jwk: PublicJwk): string;
	/** 32 bytes for Ed25519, the uncompressed EC point, the 32-byte x for BIP340; null where `formats` has no raw. */
	exportRaw(jwk: PublicJwk): Bytes | null;
	/**
	 * Opens the secret for one kind of input; the caller may wipe `secret` afterwards.
	 * WebCrypto keys are non-extractable. A digest of a wrong length, or one where `digestBytes` is
	 * null, throws: check before.
	 */
	signer(secret: Bytes, kind: InputKind): Promise<Signer>;
	/** For a MAC the secret is what verifies; otherwise the public half. */
	verifier(key: { publicJwk: PublicJwk } | { secret: Bytes }, kind: InputKind): Promise<Verifier>;
	/** Bytes of a well-formed signature under this public key, or null where the length varies with the key (RSA). */
	readonly signatureBytes: number | null;
}

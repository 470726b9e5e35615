/** The nouns that every layer shares, from the column in Postgres to the field in the API. */

export const roles = ["admin", "signer", "verifier", "auditor"] as const;
export type Role = (typeof roles)[number];

/** `quota` operations in `windowSeconds`: the size of a bucket, and the time in which it fills. */
export interface RateLimit {
	readonly quota: number;
	readonly windowSeconds: number;
}

export const keyStates = ["enabled", "disabled", "pending_deletion"] as const;
export type KeyState = (typeof keyStates)[number];

/** Names as in JOSE (RFC 7518, RFC 8812, RFC 9864) where JOSE has one; BIP340 is Bitcoin's Schnorr signature. */
export const algorithmNames = [
	"Ed25519",
	"ES256",
	"ES384",
	"ES512",
	"ES256K",
	"BIP340",
	"RS256",
	"PS256",
	"HS256",
] as const;
export type AlgorithmName = (typeof algorithmNames)[number];

/** A public JWK in canonical form: only the members that RFC 7517, 7518 and 8037 require, no alg, no kid. */
export type PublicJwk =
	| { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string }
	| { readonly kty: "EC"; readonly crv: EcCurve; readonly x: string; readonly y: string }
	| { readonly kty: "RSA"; readonly n: string; readonly e: string };
export type EcCurve = "P-256" | "P-384" | "P-521" | "secp256k1";

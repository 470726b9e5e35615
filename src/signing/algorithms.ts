import type { AlgorithmName } from "../model.ts";
import { ecdsa } from "./ecdsa.ts";
import { ed25519 } from "./ed25519.ts";
import { hs256 } from "./hmac.ts";
import { rsa } from "./rsa.ts";
import { bip340, es256k } from "./secp256k1.ts";
import type { Algorithm } from "./types.ts";

/**
 * The one table of what can sign. It says which library does what: WebCrypto where it has the
 * algorithm, noble where it has not. Nothing else in the service decides by an algorithm's name.
 */
export const algorithms: Readonly<Record<AlgorithmName, Algorithm>> = {
	Ed25519: ed25519,
	ES256: ecdsa({ name: "ES256", curve: "P-256", hash: "SHA-256", digestBytes: 32 }),
	ES384: ecdsa({ name: "ES384", curve: "P-384", hash: "SHA-384", digestBytes: 48 }),
	ES512: ecdsa({ name: "ES512", curve: "P-521", hash: "SHA-512", digestBytes: 64 }),
	ES256K: es256k,
	BIP340: bip340,
	RS256: rsa({ name: "RS256", scheme: "RSASSA-PKCS1-v1_5", operation: "RSASSA-PKCS1-v1_5" }),
	PS256: rsa({ name: "PS256", scheme: "RSA-PSS", operation: { name: "RSA-PSS", saltLength: 32 } }),
	HS256: hs256,
};

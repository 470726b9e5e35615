import { systemRandom } from "../lib/random.ts";
import { ok } from "../lib/result.ts";
import * as limits from "../limits.ts";
import { type JwkKind, readText, refuseJwk } from "./jwk.ts";
import { refuseKey } from "./keyinfo.ts";
import type { Algorithm } from "./types.ts";
import {
	type Parameters,
	requireMessage,
	webCryptoSigner,
	webCryptoVerifier,
} from "./webcrypto.ts";

const name = "HS256";
const parameters: Parameters = { key: { name: "HMAC", hash: "SHA-256" }, operation: "HMAC" };
const newKeyBytes = 32;
const tagBytes = 32;
const jwkKind: JwkKind = { name, kty: "oct", algs: [name] };

/** HMAC with SHA-256 (RFC 7518 section 3.2). The one secret signs and verifies; nothing of it is public. */
export const hs256: Algorithm = {
	name,
	digestBytes: null,
	encodings: ["raw", "jws"],
	formats: [],
	jose: name,
	symmetric: true,
	modulusLengths: null,
	generationCost: () => 1,
	signatureBytes: tagBytes,

	generate: async () => ({ secret: systemRandom(newKeyBytes), publicJwk: null }),

	async importKey(key) {
		if (typeof key === "string") return refuseKey(`An ${name} key is taken as a JWK, not as PEM.`);
		const refused = refuseJwk(key, jwkKind);
		if (refused) return refused;
		const secret = readText(key, "k");
		if (!secret.ok) return secret;
		const byteCount = secret.value.length;
		return byteCount < limits.hmacKeyBytesMin || byteCount > limits.hmacKeyBytesMax
			? refuseKey(
					`The JWK's "k" must be ${limits.hmacKeyBytesMin} to ${limits.hmacKeyBytesMax} bytes, it has ${byteCount}.`,
				)
			: ok({ secret: secret.value, publicJwk: null });
	},

	exportPem() {
		throw new TypeError(`${name} has no public half`);
	},
	exportRaw: () => null,
	modulusLengthOf: () => undefined,

	signer(secret, kind) {
		requireMessage(name, kind);
		return webCryptoSigner("raw", secret, parameters);
	},

	async verifier(key, kind) {
		requireMessage(name, kind);
		if (!("secret" in key)) throw new TypeError(`${name} verifies with its secret`);
		const secret = await crypto.subtle.importKey("raw", key.secret, parameters.key, false, [
			"verify",
		]);
		return webCryptoVerifier(secret, parameters, tagBytes);
	},
};

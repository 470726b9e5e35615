import type { Bytes } from "../../../src/lib/bytes.ts";
import type { AlgorithmName } from "../../../src/model.ts";
import { curves, pointOf, scalarOf } from "../../../src/signing/ec.ts";
import type { Subject } from "./messages.ts";
import type { Fixture, Operation } from "./service.ts";

/**
 * The library's own call for the same work (hedged where the service hedges), and nothing around it.
 * noble is loaded inside a request here too: loaded earlier it would find no randomness and leave
 * out its blinding, for both sides.
 */
type Bare = (subject: Subject, fixture: Fixture) => Operation | Promise<Operation>;

export function bareOperation(subject: Subject, fixture: Fixture): Operation | Promise<Operation> {
	return bare[subject.algorithm](subject, fixture);
}

const bare: Readonly<Record<AlgorithmName, Bare>> = {
	Ed25519: webCrypto("pkcs8", "Ed25519", "Ed25519"),
	ES256: nist("P-256", "p256", "SHA-256"),
	ES384: nist("P-384", "p384", "SHA-384"),
	ES512: nist("P-521", "p521", "SHA-512"),
	ES256K: async ({ job, kind }, { secret, publicJwk, input, signature }) => {
		const { secp256k1 } = await import("@noble/curves/secp256k1.js");
		const prehash = kind === "message";
		if (job === "sign") {
			const options = { prehash, format: "recovered", extraEntropy: true } as const;
			return () => secp256k1.sign(input, secret, options);
		}
		const point = publicPoint(publicJwk);
		return () => mustHold(secp256k1.verify(signature, input, point, { prehash, lowS: false }));
	},
	BIP340: async ({ job }, { secret, publicJwk, input, signature }) => {
		const { schnorr } = await import("@noble/curves/secp256k1.js");
		if (job === "sign") return () => schnorr.sign(input, secret);
		const x = publicPoint(publicJwk).slice(1, 33);
		return () => mustHold(schnorr.verify(signature, input, x));
	},
	RS256: webCrypto("pkcs8", { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, "RSASSA-PKCS1-v1_5"),
	PS256: webCrypto(
		"pkcs8",
		{ name: "RSA-PSS", hash: "SHA-256" },
		{ name: "RSA-PSS", saltLength: 32 },
	),
	HS256: webCrypto("raw", { name: "HMAC", hash: "SHA-256" }, "HMAC"),
};

function webCrypto(
	format: "pkcs8" | "raw",
	keyAlgorithm: string | SubtleCryptoImportKeyAlgorithm,
	operation: string | SubtleCryptoSignAlgorithm,
): Bare {
	const { subtle } = crypto;
	return async ({ job }, { secret, publicJwk, input, signature }) => {
		if (job === "sign") {
			const key = await subtle.importKey(format, secret, keyAlgorithm, false, ["sign"]);
			return () => subtle.sign(operation, key, input);
		}
		const key = publicJwk
			? await subtle.importKey("jwk", { ...publicJwk }, keyAlgorithm, false, ["verify"])
			: await subtle.importKey(format, secret, keyAlgorithm, false, ["verify"]);
		return async () => mustHold(await subtle.verify(operation, key, signature, input));
	};
}

/** WebCrypto signs messages on the NIST curves, noble their digests. */
function nist(
	namedCurve: "P-256" | "P-384" | "P-521",
	nobleName: "p256" | "p384" | "p521",
	hash: string,
): Bare {
	const messages = webCrypto("pkcs8", { name: "ECDSA", namedCurve }, { name: "ECDSA", hash });
	return async (subject, fixture) => {
		if (subject.kind === "message") return messages(subject, fixture);
		const { [nobleName]: noble } = await import("@noble/curves/nist.js");
		const { secret, publicJwk, input, signature } = fixture;
		const options = { prehash: false, lowS: false } as const;
		if (subject.job === "sign") {
			const scalar = scalarOf(secret, curves[namedCurve]).slice();
			return () => noble.sign(input, scalar, { ...options, extraEntropy: true });
		}
		const point = publicPoint(publicJwk);
		return () => mustHold(noble.verify(signature, input, point, options));
	};
}

function publicPoint(publicJwk: Fixture["publicJwk"]): Bytes {
	if (!publicJwk) throw new Error("only a MAC has no public half");
	return pointOf(publicJwk);
}

function mustHold(valid: boolean): void {
	if (!valid) throw new Error("the signature must verify");
}

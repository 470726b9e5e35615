import {
	CompactSign,
	compactVerify,
	exportPKCS8,
	exportSPKI,
	generateKeyPair,
	importJWK,
} from "jose";
import { describe, expect, it } from "vitest";
import { fromBase64Url, toBase64Url, utf8 } from "../../../src/lib/bytes.ts";
import { encodeSignature } from "../../../src/signing/signature.ts";
import {
	everyAlgorithm,
	keyOf,
	openBoth,
	privateJwkOf,
	publicOf,
	secretOf,
	unwrap,
	verifierOf,
} from "../support.ts";

/** jose signs with what WebCrypto has: everything of JOSE but secp256k1. */
const known = everyAlgorithm.flatMap((algorithm) =>
	algorithm.jose === null || algorithm.name === "ES256K"
		? []
		: [{ algorithm, alg: algorithm.jose }],
);
const payload = utf8('{"iss":"edgesign"}');

function signingInput(alg: string): string {
	return `${toBase64Url(utf8(JSON.stringify({ alg })))}.${toBase64Url(payload)}`;
}

describe.each(known)("jose and $alg", ({ algorithm, alg }) => {
	it("verifies the JWS that we sign", async () => {
		const { sign, key } = await openBoth(algorithm, "message");
		const input = signingInput(alg);
		const { bytes } = await sign(utf8(input));
		const token = `${input}.${encodeSignature(bytes, "jws")}`;
		const jwk = key.publicJwk ?? { kty: "oct", k: toBase64Url(secretOf(key)) };
		const judge = await importJWK({ ...jwk }, alg);
		expect((await compactVerify(token, judge)).protectedHeader.alg).toBe(alg);
		const forged = `${signingInput(alg)}AA.${encodeSignature(bytes, "jws")}`;
		await expect(compactVerify(forged, judge)).rejects.toThrow("signature verification failed");
	});

	it("signs the JWS that we verify", async () => {
		const key = await keyOf(algorithm);
		const judge = await importJWK({ ...(await privateJwkOf(algorithm, key)) }, alg);
		const token = await new CompactSign(payload).setProtectedHeader({ alg }).sign(judge);
		const [header, body, signature = ""] = token.split(".");
		const verify = await verifierOf(algorithm, key, "message");
		const bytes = fromBase64Url(signature);
		if (!bytes) throw new Error("jose's signature is not base64url");
		expect(await verify(utf8(`${header}.${body}`), bytes)).toBe(true);
	});
});

describe("jose's PEM", () => {
	it.each(known.filter(({ algorithm }) => !algorithm.symmetric))(
		"of $alg imports",
		async ({ algorithm, alg }) => {
			const pair = await generateKeyPair(alg, { extractable: true });
			const imported = unwrap(await algorithm.importKey(await exportPKCS8(pair.privateKey)));
			const spki = await exportSPKI(pair.publicKey);
			expect(unwrap(await algorithm.importKey(spki)).publicJwk).toEqual(imported.publicJwk);
			expect(algorithm.exportPem(publicOf(imported)).trim()).toBe(spki.trim());
		},
	);
});

import { beforeAll, describe, expect, it } from "vitest";
import { toBase64, toBase64Url } from "../../src/lib/bytes.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import { expectProblem } from "../support/answers.ts";
import { bytesOf, digestBytes, hello, newKey, signed } from "../support/keys.ts";
import { type Jwk, materialOf, message, unlikeX } from "../support/material.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

const asymmetric = algorithmNames.filter((name) => name !== "HS256");

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

function verify(json: Readonly<Record<string, unknown>>, token?: string) {
	return tenant.call("POST", "/v1/verify", { json, ...(token !== undefined && { token }) });
}

async function signedByOthers(algorithm: AlgorithmName) {
	const material = await materialOf(algorithm);
	return {
		...material,
		request: {
			algorithm,
			message: toBase64(message),
			signature: toBase64(await material.sign(message)),
		},
	};
}

describe.each(asymmetric)("POST /v1/verify with %s", (algorithm) => {
	it("verifies what others signed, with their key as JWK and as PEM", async () => {
		const { publicJwk, spki, request } = await signedByOthers(algorithm);
		for (const publicKey of [publicJwk, spki]) {
			const answer = await verify({ ...request, publicKey });
			expect(answer.status, answer.text).toBe(200);
			expect(answer.json).toEqual({ valid: true });
		}
	});

	it("verifies what the service signed, with the key as it shows it", async () => {
		const key = await newKey(tenant, algorithm);
		const { signature } = await signed(tenant, key.id);
		for (const publicKey of [key.publicKey.jwk, key.publicKey.pem]) {
			const answer = await verify({ algorithm, publicKey, message: hello, signature });
			expect(answer.json).toEqual({ valid: true });
		}
	});

	it("answers false to another message, another key and a changed signature", async () => {
		const { publicJwk, request } = await signedByOthers(algorithm);
		const other = await newKey(tenant, algorithm);
		const changed = toBase64Url(new Uint8Array(3)) + request.signature.slice(4);
		for (const wrong of [
			{ ...request, publicKey: publicJwk, message: hello },
			{ ...request, publicKey: other.publicKey.jwk },
			{ ...request, publicKey: publicJwk, signature: changed },
		]) {
			const answer = await verify(wrong);
			expect(answer.status, answer.text).toBe(200);
			expect(answer.json).toEqual({ valid: false });
		}
	});

	it("refuses a private key, whichever its form, and repeats nothing of it", async () => {
		const { privateJwk, pkcs8, request } = await signedByOthers(algorithm);
		if (!pkcs8) throw new Error("each of these has a private half");
		const encrypted = pkcs8.replaceAll("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
		for (const publicKey of [privateJwk, pkcs8, encrypted]) {
			const answer = await verify({ ...request, publicKey });
			expectProblem(answer, 422, "invalid_key_material", { says: ["must stay with its owner"] });
			expect(answer.text).not.toContain("openssl");
			expect(answer.text).not.toContain(String(privateJwk.d).slice(0, 16));
		}
	});
});

describe("POST /v1/verify", () => {
	it.each(Object.entries(digestBytes) as [AlgorithmName, number][])(
		"verifies a digest with %s of %s bytes, and refuses one of another length",
		async (algorithm, length) => {
			const key = await newKey(tenant, algorithm);
			const publicKey = key.publicKey.jwk;
			const digest = bytesOf(length, 5);
			const { signature } = await signed(tenant, key.id, { digest });
			const request = { algorithm, publicKey, signature };
			expect((await verify({ ...request, digest })).json).toEqual({ valid: true });
			const other = await verify({ ...request, digest: bytesOf(length, 6) });
			expect(other.json).toEqual({ valid: false });
			const short = await verify({ ...request, digest: bytesOf(length - 1) });
			expectProblem(short, 422, "invalid_digest_length", {
				says: [String(length), String(length - 1)],
			});
		},
	);

	it.each(["ES256", "ES384", "ES512", "ES256K"] as const)(
		"reads DER and JWS of %s",
		async (algorithm) => {
			const key = await newKey(tenant, algorithm);
			for (const encoding of ["der", "jws"]) {
				const { signature } = await signed(tenant, key.id, { message: hello, encoding });
				const request = { algorithm, publicKey: key.publicKey.pem, message: hello, encoding };
				expect((await verify({ ...request, signature })).json).toEqual({ valid: true });
			}
		},
	);

	it("refuses HS256, which has no public key", async () => {
		const publicKey = { kty: "oct", k: "A".repeat(43) };
		const json = { algorithm: "HS256", publicKey, message: hello, signature: bytesOf(32) };
		expectProblem(await verify(json), 422, "algorithm_unsupported", { says: ["HS256"] });
	});

	it("refuses a key of another kind, and one that is none", async () => {
		const { publicJwk, request } = await signedByOthers("ES256");
		for (const [algorithm, publicKey] of [
			["Ed25519", publicJwk],
			["ES256K", publicJwk],
			["ES256", unlikeX(publicJwk as Jwk)],
			["ES256", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"],
			["ES256", { kty: "EC" }],
		]) {
			const answer = await verify({ ...request, algorithm, publicKey });
			expectProblem(answer, 422, "invalid_key_material");
		}
	});

	it.each([
		["a public key that is missing", { publicKey: undefined }, "/publicKey", [/JWK|PEM/]],
		["a public key that is a number", { publicKey: 5 }, "/publicKey", [/JWK|PEM/]],
		["no algorithm", { algorithm: undefined }, "/algorithm", ["Ed25519"]],
		["an unknown algorithm", { algorithm: "none" }, "/algorithm", ['"none"']],
		["no signature", { signature: undefined }, "/signature", ["string"]],
		["neither message nor digest", { message: undefined }, "/message", ["one of the two"]],
		["message and digest", { digest: bytesOf(32) }, "/message", ["not both"]],
	] as const)("refuses %s", async (_, fields, pointer, says) => {
		const { publicJwk, request } = await signedByOthers("ES256");
		const answer = await verify({ ...request, publicKey: publicJwk, ...fields });
		expectProblem(answer, 400, "invalid_request", { pointer, says });
	});

	it("refuses a version, which no key of the caller's own has here", async () => {
		const { publicJwk, request } = await signedByOthers("ES256");
		const answer = await verify({ ...request, publicKey: publicJwk, version: 1 });
		expectProblem(answer, 400, "unknown_field", { pointer: "/version" });
	});

	it("refuses a malformed signature", async () => {
		const { publicJwk, request } = await signedByOthers("Ed25519");
		const answer = await verify({ ...request, publicKey: publicJwk, signature: bytesOf(63) });
		expectProblem(answer, 422, "malformed_signature", { says: ["64", "63"] });
	});

	it("keeps nothing: no key is there afterwards", async () => {
		const other = await newTenant();
		const { publicJwk, request } = await signedByOthers("Ed25519");
		const answer = await other.call("POST", "/v1/verify", {
			json: { ...request, publicKey: publicJwk },
		});
		expect(answer.json).toEqual({ valid: true });
		const rows = await ownerSql().query("select 1 from keys where tenant_id = $1", [other.id]);
		expect(rows).toEqual([]);
	});
});

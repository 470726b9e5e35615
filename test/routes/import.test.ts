import { beforeAll, describe, expect, it } from "vitest";
import { fromBase64, fromBase64Url, toBase64, toBase64Url } from "../../src/lib/bytes.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import { expectProblem } from "../support/answers.ts";
import { signed, verified } from "../support/keys.ts";
import { type Jwk, type Material, materialOf, message } from "../support/material.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

const asymmetric = algorithmNames.filter((name) => name !== "HS256");
const text = toBase64(message);

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

let count = 0;
function bring(algorithm: AlgorithmName, key: unknown, fields: object = {}) {
	count++;
	const json = { name: `imported-${count}`, algorithm, key, ...fields };
	return tenant.call("POST", "/v1/keys/import", { json });
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
	return fromBase64(base64) ?? new Uint8Array();
}

describe.each(algorithmNames)("a private key of %s", (algorithm) => {
	it.each(algorithm === "HS256" ? ["JWK"] : ["JWK", "PKCS#8"])(
		"signs after its import as %s what others verify",
		async (form) => {
			const material = await materialOf(algorithm);
			const answer = await bring(algorithm, form === "JWK" ? material.privateJwk : material.pkcs8);
			expect(answer.status, answer.text).toBe(201);
			expect(answer.json).toMatchObject({
				algorithm,
				hasPrivate: true,
				version: 1,
				state: "enabled",
			});
			const { signature } = await signed(tenant, answer.json.id, { message: text });
			expect(await material.verify(message, bytesOf(signature))).toBe(true);
		},
	);

	it("verifies after its import what others signed", async () => {
		const material = await materialOf(algorithm);
		const { json: key } = await bring(algorithm, material.privateJwk);
		const signature = toBase64(await material.sign(message));
		const answer = await verified(tenant, key.id, { message: text, signature });
		expect(answer).toEqual({ valid: true, version: 1 });
	});

	it("is shown with the public half that it came with, and nothing of the private one", async () => {
		const material = await materialOf(algorithm);
		const answer = await bring(algorithm, material.privateJwk);
		const { publicJwk, spki } = expectedPublic(material);
		expect(answer.json.publicKey).toEqual(publicJwk && { jwk: publicJwk, pem: spki });
		expectNothingOf(answer.text, material.privateJwk);
		const read = await tenant.call("GET", `/v1/keys/${answer.json.id}`);
		expectNothingOf(read.text, material.privateJwk);
	});
});

describe.each(asymmetric)("a public key of %s", (algorithm) => {
	it.each(["JWK", "SPKI"])("verifies after its import as %s, and does not sign", async (form) => {
		const material = await materialOf(algorithm);
		const answer = await bring(algorithm, form === "JWK" ? material.publicJwk : material.spki);
		expect(answer.status, answer.text).toBe(201);
		expect(answer.json).toMatchObject({ algorithm, hasPrivate: false });
		const signature = toBase64(await material.sign(message));
		expect(await verified(tenant, answer.json.id, { message: text, signature })).toEqual({
			valid: true,
			version: 1,
		});
		const path = `/v1/keys/${answer.json.id}/sign`;
		const refused = await tenant.call("POST", path, { json: { message: text } });
		expectProblem(refused, 409, "key_public_only", { says: [answer.json.name] });
	});
});

describe("POST /v1/keys/import", () => {
	it("keeps tags, and ignores members of a JWK that say nothing of the key", async () => {
		const { privateJwk } = await materialOf("ES256");
		const jwk = {
			...privateJwk,
			kid: "theirs",
			alg: "ES256",
			use: "sig",
			key_ops: ["sign"],
			ext: true,
			"x-more": {},
		};
		const answer = await bring("ES256", jwk, { tags: { from: "kms" } });
		expect(answer.status, answer.text).toBe(201);
		expect(answer.json.tags).toEqual({ from: "kms" });
		expect(Object.keys(answer.json.publicKey.jwk).sort()).toEqual(["crv", "kty", "x", "y"]);
	});

	it("takes a PEM with other line breaks and white space around it", async () => {
		const { pkcs8 } = await materialOf("Ed25519");
		const loose = `\r\n  ${pkcs8?.replaceAll("\n", "\r\n")}\n\n`;
		expect((await bring("Ed25519", loose)).status).toBe(201);
	});

	it("takes a BIP-340 key named by its x alone", async () => {
		const material = await materialOf("BIP340");
		const { y: _y, ...jwk } = material.publicJwk as Jwk;
		const answer = await bring("BIP340", jwk);
		expect(answer.status, answer.text).toBe(201);
		expect(answer.json.publicKey.jwk.x).toBe(jwk.x);
	});

	it("takes an HS256 key of 32 to 512 bytes", async () => {
		for (const length of [32, 512]) {
			const k = toBase64Url(new Uint8Array(length).fill(3));
			expect((await bring("HS256", { kty: "oct", k })).status).toBe(201);
		}
	});

	it("takes the same material twice, under two names", async () => {
		const { privateJwk } = await materialOf("Ed25519");
		const [first, second] = [
			await bring("Ed25519", privateJwk),
			await bring("Ed25519", privateJwk),
		];
		expect(first.json.id).not.toBe(second.json.id);
		expect(first.json.publicKey).toEqual(second.json.publicKey);
	});

	it("rotates an imported private key to a new one of the service", async () => {
		const { privateJwk } = await materialOf("ES256");
		const { json: key } = await bring("ES256", privateJwk);
		const rotated = await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		expect(rotated.json.version).toBe(2);
		expect(rotated.json.publicKey).not.toEqual(key.publicKey);
	});
});

/** BIP-340 keys are their x: they come back with the even y. */
function expectedPublic(material: Material): { publicJwk: Jwk | null; spki: unknown } {
	const { publicJwk, spki, algorithm } = material;
	if (algorithm !== "BIP340") return { publicJwk, spki };
	return {
		publicJwk: { ...publicJwk, y: expect.any(String) },
		spki: expect.stringContaining("BEGIN PUBLIC KEY"),
	};
}

/** Neither the private members nor any longer part of them, in either alphabet of base64. */
function expectNothingOf(answer: string, jwk: Jwk): void {
	for (const member of ["d", "p", "q", "dp", "dq", "qi", "k"]) {
		const value = jwk[member];
		if (typeof value !== "string") continue;
		const standard = toBase64(fromBase64Url(value) ?? new Uint8Array());
		for (const form of [value, standard]) {
			for (let at = 0; at + 12 <= form.length; at += 4) {
				expect(answer).not.toContain(form.slice(at, at + 12));
			}
		}
	}
}

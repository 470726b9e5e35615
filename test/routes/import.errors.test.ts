import { beforeAll, describe, expect, it } from "vitest";
import { fromBase64, toBase64Url } from "../../src/lib/bytes.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import { expectProblem } from "../support/answers.ts";
import { type Jwk, materialOf, newMaterial, toPem, unlikeX } from "../support/material.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

const asymmetric = algorithmNames.filter((name) => name !== "HS256");

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

const kinds: Readonly<Record<AlgorithmName, string>> = {
	Ed25519: "Ed25519",
	ES256: "P-256",
	ES384: "P-384",
	ES512: "P-521",
	ES256K: "secp256k1",
	BIP340: "secp256k1",
	RS256: "RSA",
	PS256: "RSA",
	HS256: "oct",
};

/** The algorithms that a key of this one can not be for. */
function othersThan(algorithm: AlgorithmName): AlgorithmName[] {
	return algorithmNames.filter((other) => kinds[other] !== kinds[algorithm]);
}

it("refuses a JWK with a member of more than 16 KiB before it looks at it", async () => {
	const json = { name: "long", algorithm: "RS256", key: { kty: "RSA", n: "A".repeat(16_385) } };
	const answer = await tenant.call("POST", "/v1/keys/import", { json });
	expectProblem(answer, 400, "invalid_request", { pointer: "/key", says: ["16384"] });
});

let attempts = 0;

/** Refused as key material, with nothing of the material in the answer. */
async function expectRefused(algorithm: AlgorithmName, key: unknown): Promise<string> {
	attempts++;
	const name = `rubbish-${attempts}`;
	const json = { name, algorithm, key };
	const answer = await tenant.call("POST", "/v1/keys/import", { json });
	expectProblem(answer, 422, "invalid_key_material");
	for (const part of partsOf(key)) expect(answer.text).not.toContain(part);
	expect((await tenant.call("GET", `/v1/keys/${name}`)).status).toBe(404);
	return answer.json.detail;
}

/** Every stretch of base64 of 16 characters in the material. */
function partsOf(key: unknown): string[] {
	const runs = JSON.stringify(key).match(/[A-Za-z0-9+/_-]{16,}/g) ?? [];
	return runs.flatMap((run) =>
		Array.from({ length: Math.floor(run.length / 16) }, (_, i) => run.slice(16 * i, 16 * i + 16)),
	);
}

function derOf(pem: string | null): Uint8Array {
	const body = (pem ?? "").replace(/-----[^-]+-----/g, "").replace(/\s/g, "");
	return fromBase64(body) ?? new Uint8Array();
}

function without(jwk: Jwk, member: string): Jwk {
	return Object.fromEntries(Object.entries(jwk).filter(([name]) => name !== member));
}

describe.each(algorithmNames)("a JWK for %s", (algorithm) => {
	const alterations: readonly [string, (jwk: Jwk) => Jwk][] = [
		["of no known type", (jwk) => ({ ...jwk, kty: "XYZ" })],
		["with nothing but its type", (jwk) => ({ kty: jwk.kty })],
		["for encryption", (jwk) => ({ ...jwk, use: "enc" })],
		["that may only verify", (jwk) => ({ ...jwk, key_ops: ["verify"] })],
		["with no list of operations", (jwk) => ({ ...jwk, key_ops: "sign" })],
		["of another algorithm", (jwk) => ({ ...jwk, alg: "none" })],
	];
	it.each(alterations)("%s is refused", async (_, alter) => {
		const { privateJwk } = await materialOf(algorithm);
		await expectRefused(algorithm, alter(privateJwk));
	});

	it("is refused without any one of its members, where it needs it", async () => {
		const { privateJwk } = await materialOf(algorithm);
		const optional = algorithm === "BIP340" ? ["d", "y"] : ["d"];
		for (const member of Object.keys(privateJwk)) {
			if (member === "kty" || optional.includes(member)) continue;
			await expectRefused(algorithm, without(privateJwk, member));
		}
	});

	it("is refused when a member is cut off, padded, no base64url or no text", async () => {
		const { privateJwk } = await materialOf(algorithm);
		const member = algorithm === "HS256" ? "k" : "d";
		const value = String(privateJwk[member]);
		// A secret of HS256 and the numbers of RSA may have other lengths.
		const shorter = value.slice(0, 8);
		for (const bad of [shorter, `${value}=`, `${value.slice(0, -1)}!`, "", 5, null, [value]]) {
			await expectRefused(algorithm, { ...privateJwk, [member]: bad });
		}
	});

	it("is refused where another kind of key was meant, and says which", async () => {
		const { privateJwk } = await materialOf(algorithm);
		for (const other of othersThan(algorithm)) {
			expect(await expectRefused(other, privateJwk)).toContain(other);
		}
	});
});

describe.each(asymmetric)("the halves of a key of %s", (algorithm) => {
	it("are refused when they do not belong together", async () => {
		const [mine, other] = [await materialOf(algorithm), await newMaterial(algorithm)];
		const mixed = { ...mine.privateJwk, ...other.publicJwk };
		await expectRefused(algorithm, mixed);
	});

	it("are refused when the public one is no key", async () => {
		const { publicJwk } = await materialOf(algorithm);
		if (publicJwk?.kty !== "RSA") await expectRefused(algorithm, unlikeX(publicJwk as Jwk));
		const zeros = (member: unknown) => toBase64Url(new Uint8Array(lengthOf(member)));
		const { x, y, n } = publicJwk as Jwk;
		const none = {
			...publicJwk,
			...(x ? { x: zeros(x) } : {}),
			...(y ? { y: zeros(y) } : {}),
			...(n ? { n: zeros(n) } : {}),
		};
		await expectRefused(algorithm, none);
	});
});

describe.each(asymmetric)("a PEM for %s", (algorithm) => {
	it.each(["PRIVATE KEY", "PUBLIC KEY"])(
		"%s is refused when it is cut off or has more",
		async (label) => {
			const material = await materialOf(algorithm);
			const der = derOf(label === "PRIVATE KEY" ? material.pkcs8 : material.spki);
			for (const length of [0, 1, 10, der.length - 1]) {
				await expectRefused(algorithm, toPem(label, der.slice(0, length)));
			}
			await expectRefused(algorithm, toPem(label, Uint8Array.from([...der, 0])));
		},
	);

	it("is refused under the other half's label", async () => {
		const { pkcs8, spki } = await materialOf(algorithm);
		await expectRefused(algorithm, toPem("PUBLIC KEY", derOf(pkcs8)));
		await expectRefused(algorithm, toPem("PRIVATE KEY", derOf(spki)));
	});

	it("is refused where another kind of key was meant", async () => {
		const { pkcs8, spki } = await materialOf(algorithm);
		for (const other of othersThan(algorithm)) {
			await expectRefused(other, pkcs8);
			await expectRefused(other, spki);
		}
	});
});

describe("key material that is none", () => {
	it.each([
		["an empty text", ""],
		["words", "correct horse battery staple"],
		[
			"base64 without its frame",
			"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g",
		],
		["only the first line", "-----BEGIN PRIVATE KEY-----"],
		["a frame without a body", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"],
		["a body that is no base64", "-----BEGIN PRIVATE KEY-----\n%%%%\n-----END PRIVATE KEY-----"],
		["another end", "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PUBLIC KEY-----"],
		["a certificate", "-----BEGIN CERTIFICATE-----\nMC4C\n-----END CERTIFICATE-----"],
		[
			"an encrypted key",
			"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4C\n-----END ENCRYPTED PRIVATE KEY-----",
		],
		[
			"an OpenSSH key",
			"-----BEGIN OPENSSH PRIVATE KEY-----\nMC4C\n-----END OPENSSH PRIVATE KEY-----",
		],
		["an EC key of SEC 1", "-----BEGIN EC PRIVATE KEY-----\nMC4C\n-----END EC PRIVATE KEY-----"],
		["two keys", "-----BEGIN PUBLIC KEY-----\nMC4C\n-----END PUBLIC KEY-----\n".repeat(2)],
	])("is refused: %s", async (_, key) => {
		const detail = await expectRefused("Ed25519", key);
		expect(detail).toMatch(/PEM/);
	});

	it.each([
		["31 bytes", "A".repeat(42), "32"],
		["513 bytes", "A".repeat(684), "512"],
	])("of HS256 is refused with %s", async (_, k, rule) => {
		expect(await expectRefused("HS256", { kty: "oct", k })).toContain(rule);
	});

	it("of HS256 is refused as PEM", async () => {
		const { pkcs8 } = await materialOf("Ed25519");
		expect(await expectRefused("HS256", pkcs8)).toContain("JWK");
	});

	it("of RSA is refused when it is too short, and says the rule and the value", async () => {
		const { privateJwk, spki } = await newMaterial("RS256", 1024);
		for (const key of [privateJwk, spki]) {
			const detail = await expectRefused("RS256", key);
			expect(detail).toContain("2048");
			expect(detail).toContain("1024");
		}
	});

	it("of RSA is refused with a public exponent of 1", async () => {
		const { publicJwk } = await materialOf("RS256");
		expect(await expectRefused("RS256", { ...publicJwk, e: "AQ" })).toContain("exponent");
	});

	it.each([
		["zero", new Uint8Array(32)],
		["beyond the order", new Uint8Array(32).fill(0xff)],
	])("of an elliptic curve is refused with a scalar that is %s", async (_, scalar) => {
		for (const algorithm of ["ES256", "ES256K", "BIP340"] as const) {
			const { privateJwk } = await materialOf(algorithm);
			await expectRefused(algorithm, { ...privateJwk, d: toBase64Url(scalar) });
		}
	});

	it("of Ed25519 is refused where anyone could sign: a point of small order", async () => {
		const x = toBase64Url(Uint8Array.from([1, ...new Uint8Array(31)]));
		await expectRefused("Ed25519", { kty: "OKP", crv: "Ed25519", x });
	});
});

describe("POST /v1/keys/import with a body that is wrong", () => {
	const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
	const key = { kty: "OKP", crv: "Ed25519", x };
	it.each([
		["no key", { key: undefined }, "invalid_request", "/key", [/JWK|PEM/]],
		["a number for a key", { key: 5 }, "invalid_request", "/key", [/JWK|PEM/]],
		["null for a key", { key: null }, "invalid_request", "/key", [/JWK|PEM/]],
		["a list of keys", { key: [key] }, "invalid_request", "/key", [/JWK|PEM/]],
		["a JWK without its type", { key: { x } }, "invalid_request", "/key", [/JWK|PEM|kty/]],
		[
			"a PEM of 16,385 characters",
			{ key: "-".repeat(16_385) },
			"invalid_request",
			"/key",
			[/16384/],
		],
		["a modulus length", { modulusLength: 2048 }, "unknown_field", "/modulusLength", []],
		["an unknown algorithm", { algorithm: "Ed448" }, "invalid_request", "/algorithm", [/"Ed448"/]],
		["a bad name", { name: "" }, "invalid_request", "/name", []],
	] as const)("refuses %s", async (_, fields, code, pointer, says) => {
		const json = { name: "rubbish", algorithm: "Ed25519", key, ...fields };
		const answer = await tenant.call("POST", "/v1/keys/import", { json });
		expectProblem(answer, 400, code, { pointer, says });
		expect(answer.text).not.toContain(x.slice(0, 16));
	});
});

function lengthOf(base64Url: unknown): number {
	return Math.floor((String(base64Url).length * 3) / 4);
}

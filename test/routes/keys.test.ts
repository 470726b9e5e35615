import { beforeAll, describe, expect, it } from "vitest";
import { fromBase64Url, toBase64Url, toHex } from "../../src/lib/bytes.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import { expectProblem } from "../support/answers.ts";
import { type Key, newKey } from "../support/keys.ts";
import { judge, message } from "../support/material.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

const uuidv7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const kinds: Readonly<Record<AlgorithmName, { kty: string; crv?: string } | null>> = {
	Ed25519: { kty: "OKP", crv: "Ed25519" },
	ES256: { kty: "EC", crv: "P-256" },
	ES384: { kty: "EC", crv: "P-384" },
	ES512: { kty: "EC", crv: "P-521" },
	ES256K: { kty: "EC", crv: "secp256k1" },
	BIP340: { kty: "EC", crv: "secp256k1" },
	RS256: { kty: "RSA" },
	PS256: { kty: "RSA" },
	HS256: null,
};

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

describe("POST /v1/keys", () => {
	it.each(algorithmNames)("makes a key of %s and shows its public half only", async (algorithm) => {
		const name = `new-${algorithm}`;
		const tags = { team: "payments", "a/b": "" };
		const answer = await tenant.call("POST", "/v1/keys", { json: { name, algorithm, tags } });
		expect(answer.status).toBe(201);
		const { id, createdAt, updatedAt, publicKey, ...rest } = answer.json;
		expect(id).toMatch(uuidv7);
		expect(createdAt).toMatch(instant);
		expect(Math.abs(Date.parse(createdAt) - Date.now())).toBeLessThan(60_000);
		expect(updatedAt).toBe(createdAt);
		expect(rest).toEqual({
			name,
			algorithm,
			tags,
			state: "enabled",
			version: 1,
			minSignVersion: 1,
			minVerifyVersion: 1,
			hasPrivate: true,
			deleteAt: null,
		});
		const kind = kinds[algorithm];
		if (kind === null) return expect(publicKey).toBeNull();
		expect(publicKey.jwk).toMatchObject(kind);
		const members = kind.kty === "RSA" ? ["e", "kty", "n"] : ["crv", "kty", "x"];
		if (kind.kty === "EC") members.push("y");
		expect(Object.keys(publicKey.jwk).sort()).toEqual(members);
		expect(publicKey.pem).toMatch(
			/^-----BEGIN PUBLIC KEY-----\n[\s\S]+\n-----END PUBLIC KEY-----\n$/,
		);
	});

	it.each([
		["RS256", undefined, 2048],
		["RS256", 3072, 3072],
		["PS256", 2048, 2048],
		["PS256", 4096, 4096],
	] as const)(
		"makes a key of %s with a modulus of %s bits",
		async (algorithm, modulusLength, bits) => {
			const key = await newKey(tenant, algorithm, { modulusLength });
			const modulus = fromBase64Url(key.publicKey.jwk.n);
			expect(modulus).toHaveLength(bits / 8);
			expect(modulus?.[0]).toBeGreaterThanOrEqual(0x80);
		},
		60_000,
	);

	it.each([
		["Ed25519", 2048, "no modulusLength"],
		["HS256", 2048, "no modulusLength"],
		["RS256", 1024, "2048, 3072, 4096"],
		["PS256", 8192, "2048, 3072, 4096"],
	] as const)("refuses %s with a modulus of %s bits", async (algorithm, modulusLength, allowed) => {
		const json = { name: "sized", algorithm, modulusLength };
		const answer = await tenant.call("POST", "/v1/keys", { json });
		expectProblem(answer, 422, "algorithm_unsupported", {
			says: [allowed, String(modulusLength)],
		});
	});

	it("keeps no bytes of the private half where they could be read", async () => {
		const key = await newKey(tenant, "HS256");
		const rows = await ownerSql().query(
			"select kek_id, octet_length(sealed) as length from key_versions where key_id = $1",
			[key.id],
		);
		// 1 byte of format, 12 of IV, 32 of the key, 16 of the tag.
		expect(rows).toEqual([{ kek_id: expect.any(String), length: 61 }]);
	});
});

describe("GET /v1/keys/{key}", () => {
	it("describes a key by its id in either case and by its name alike", async () => {
		const key = await newKey(tenant, "ES256", { tags: { a: "1" } });
		for (const ref of [key.id, key.id.toUpperCase(), key.name]) {
			const answer = await tenant.call("GET", `/v1/keys/${ref}`);
			expect(answer.status).toBe(200);
			expect(answer.json).toEqual(key);
		}
	});

	it("answers HEAD with the headers alone", async () => {
		const key = await newKey(tenant);
		const answer = await tenant.call("HEAD", `/v1/keys/${key.id}`);
		expect(answer.status).toBe(200);
		expect(answer.headers.get("content-type")).toBe("application/json");
		expect(answer.text).toBe("");
	});

	it("finds a name of every allowed character", async () => {
		const name = `A.z_0-${"x".repeat(122)}`;
		const key = await newKey(tenant, "Ed25519", { name });
		expect((await tenant.call("GET", `/v1/keys/${name}`)).json.id).toBe(key.id);
	});
});

describe("PATCH /v1/keys/{key}", () => {
	it("changes the name, and the key is found by the new one only", async () => {
		const key = await newKey(tenant, "Ed25519", { tags: { a: "1" } });
		const answer = await tenant.call("PATCH", `/v1/keys/${key.name}`, {
			json: { name: "renamed" },
		});
		expect(answer.status).toBe(200);
		const { updatedAt, ...rest } = answer.json;
		expect({ ...rest, updatedAt: key.updatedAt }).toEqual({ ...key, name: "renamed" });
		expect(Date.parse(updatedAt)).toBeGreaterThanOrEqual(Date.parse(key.updatedAt));
		expect((await tenant.call("GET", "/v1/keys/renamed")).json).toEqual(answer.json);
		expectProblem(await tenant.call("GET", `/v1/keys/${key.name}`), 404, "key_not_found");
	});

	it("does not let the old name sign in this isolate, which knew it", async () => {
		const key = await newKey(tenant);
		const signing = { json: { message: "" } };
		expect((await tenant.call("POST", `/v1/keys/${key.name}/sign`, signing)).status).toBe(200);
		await tenant.call("PATCH", `/v1/keys/${key.id}`, { json: { name: "moved-away" } });
		const after = await tenant.call("POST", `/v1/keys/${key.name}/sign`, signing);
		expectProblem(after, 404, "key_not_found");
	});

	it("puts new tags in place of all the old ones", async () => {
		const key = await newKey(tenant, "Ed25519", { tags: { a: "1", b: "2" } });
		for (const tags of [{ b: "3" }, {}]) {
			const answer = await tenant.call("PATCH", `/v1/keys/${key.id}`, { json: { tags } });
			expect(answer.json.tags).toEqual(tags);
		}
	});

	it("changes a disabled key, which stays disabled", async () => {
		const key = await newKey(tenant);
		await tenant.call("POST", `/v1/keys/${key.id}/disable`);
		const answer = await tenant.call("PATCH", `/v1/keys/${key.id}`, { json: { tags: { a: "1" } } });
		expect(answer.json).toMatchObject({ state: "disabled", tags: { a: "1" } });
	});

	it("raises the minimum versions and lowers them again", async () => {
		const key = await newKey(tenant);
		await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		for (const json of [
			{ minSignVersion: 2, minVerifyVersion: 2 },
			{ minSignVersion: 2, minVerifyVersion: 1 },
			{ minSignVersion: 1, minVerifyVersion: 1 },
		]) {
			expect((await tenant.call("PATCH", `/v1/keys/${key.id}`, { json })).json).toMatchObject(json);
		}
	});
});

describe("GET /v1/keys/{key}/public", () => {
	const lengths: Readonly<Partial<Record<AlgorithmName, number>>> = {
		Ed25519: 32,
		ES256: 65,
		ES384: 97,
		ES512: 133,
		ES256K: 65,
		BIP340: 32,
	};
	const publicOnes = algorithmNames.filter((name) => name !== "HS256");
	const keys = new Map<AlgorithmName, Key>();
	beforeAll(async () => {
		for (const name of algorithmNames) keys.set(name, await newKey(tenant, name));
	});
	const keyOf = (name: AlgorithmName): Key => {
		const key = keys.get(name);
		if (!key) throw new Error(`there is no key of ${name}`);
		return key;
	};
	const pathOf = (name: AlgorithmName, query: string) =>
		`/v1/keys/${keyOf(name).id}/public${query}`;

	it.each(publicOnes)("answers the JWK of %s, also when no format is named", async (name) => {
		for (const query of ["", "?format=jwk", "?version=1"]) {
			const answer = await tenant.call("GET", pathOf(name, query));
			expect(answer.headers.get("content-type")).toBe("application/json");
			expect(answer.json).toEqual(keyOf(name).publicKey.jwk);
		}
	});

	it.each(publicOnes)("answers the PEM of %s as a text", async (name) => {
		const answer = await tenant.call("GET", pathOf(name, "?format=pem&version=1"));
		expect(answer.status).toBe(200);
		expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
		expect(answer.text).toBe(keyOf(name).publicKey.pem);
	});

	it.each(Object.keys(lengths) as AlgorithmName[])("answers the bytes of %s", async (name) => {
		const answer = await tenant.call("GET", pathOf(name, "?format=raw"));
		expect(answer.headers.get("content-type")).toBe("application/octet-stream");
		const { x, y } = keyOf(name).publicKey.jwk;
		const [first, ...rest] = answer.bytes;
		expect(answer.bytes).toHaveLength(lengths[name] ?? 0);
		// An uncompressed point begins with 4; what has no y is the x alone.
		if (answer.bytes.length === 32) expect(toBase64Url(answer.bytes)).toBe(x);
		else {
			expect(first).toBe(4);
			expect(toHex(Uint8Array.from(rest))).toBe(hexOf(x) + hexOf(y));
		}
	});

	it.each(["RS256", "PS256"] as const)("has no raw form of %s", async (name) => {
		const answer = await tenant.call("GET", pathOf(name, "?format=raw"));
		expectProblem(answer, 422, "format_unsupported", { says: [name, "raw"] });
	});

	it.each(["jwk", "pem", "raw"])("has no public half of HS256 as %s", async (format) => {
		const answer = await tenant.call("GET", pathOf("HS256", `?format=${format}`));
		expectProblem(answer, 422, "format_unsupported", { says: ["HS256"] });
	});

	it("answers an older version by its number, and the current one without", async () => {
		const key = await newKey(tenant, "ES256");
		const rotated = (await tenant.call("POST", `/v1/keys/${key.id}/rotate`)).json;
		const read = async (query: string) =>
			(await tenant.call("GET", `/v1/keys/${key.name}/public${query}`)).json;
		expect(await read("?version=1")).toEqual(key.publicKey.jwk);
		expect(await read("?version=2")).toEqual(rotated.publicKey.jwk);
		expect(await read("")).toEqual(rotated.publicKey.jwk);
		expect(rotated.publicKey.jwk).not.toEqual(key.publicKey.jwk);
		expectProblem(
			await tenant.call("GET", `/v1/keys/${key.id}/public?version=3`),
			404,
			"version_not_found",
			{ says: ["1 to 2", "3"] },
		);
	});

	it("gives BIP-340 keys the even y, as its lift_x does", async () => {
		const jwk = keyOf("BIP340").publicKey.jwk;
		const y = fromBase64Url(jwk.y);
		expect((y?.[31] ?? 1) & 1).toBe(0);
	});
});

describe("the public half", () => {
	it.each(["Ed25519", "ES256", "RS256"] as const)(
		"of %s is what its signatures verify with",
		async (algorithm) => {
			const key = await newKey(tenant, algorithm);
			const json = { message: toBase64Url(message), encoding: "jws" };
			const answer = await tenant.call("POST", `/v1/keys/${key.id}/sign`, { json });
			const signature = fromBase64Url(answer.json.signature) ?? new Uint8Array();
			expect(await judge(algorithm, key.publicKey.jwk, message, signature)).toBe(true);
		},
	);
});

function hexOf(base64Url: string): string {
	return toHex(fromBase64Url(base64Url) ?? new Uint8Array());
}

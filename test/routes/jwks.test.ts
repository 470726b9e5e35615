import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { DatabaseUnavailable } from "../../src/db/client.ts";
import { fromBase64Url } from "../../src/lib/bytes.ts";
import * as limits from "../../src/limits.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import { addressOf } from "../../src/ratelimit/address.ts";
import { getJwks } from "../../src/routes/public.ts";
import { serve } from "../../src/routes/serve.ts";
import { createServices, type Services } from "../../src/services.ts";
import { expectProblem } from "../support/answers.ts";
import { inBackground } from "../support/background.ts";
import { deletionIsDue, newKey, newKeyIn } from "../support/keys.ts";
import { call, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

interface JwksKey {
	readonly kid: string;
	readonly alg: string;
	readonly kty: string;
	readonly use: string;
	readonly x?: string;
}

function pathOf(tenant: Tenant): string {
	return `/t/${tenant.id}/.well-known/jwks.json`;
}

async function keysOf(tenant: Tenant): Promise<JwksKey[]> {
	const answer = await call("GET", pathOf(tenant));
	expect(answer.status, answer.text).toBe(200);
	return answer.json.keys;
}

async function kidsOf(tenant: Tenant): Promise<string[]> {
	return (await keysOf(tenant)).map(({ kid }) => kid);
}

describe("GET /t/{tenant}/.well-known/jwks.json", () => {
	const algs: Readonly<Partial<Record<AlgorithmName, string>>> = {
		Ed25519: "EdDSA",
		ES256: "ES256",
		ES384: "ES384",
		ES512: "ES512",
		ES256K: "ES256K",
		RS256: "RS256",
		PS256: "PS256",
	};

	it("has every key that JOSE knows, newest first, and no BIP340 and no HS256", async () => {
		const tenant = await newTenant();
		const expected: object[] = [];
		for (const name of algorithmNames) {
			const key = await newKey(tenant, name);
			const alg = algs[name];
			if (alg) expected.push({ ...key.publicKey.jwk, kid: `${key.id}.1`, alg, use: "sig" });
		}
		expect(expected).toHaveLength(7);
		expect(await keysOf(tenant)).toEqual(expected.reverse());
	});

	it("has the keys of one algorithm alone for who asks for it", async () => {
		const tenant = await newTenant();
		for (const name of ["Ed25519", "ES256", "ES256K", "ES256"] as const) await newKey(tenant, name);
		const all = await keysOf(tenant);
		for (const alg of Object.values(algs)) {
			const { json, headers } = await call("GET", `${pathOf(tenant)}?alg=${alg}`, { token: null });
			expect(json).toEqual({ keys: all.filter((key) => key.alg === alg) });
			const [etag, whole] = [headers.get("etag"), (await call("GET", pathOf(tenant))).headers];
			expect(etag).not.toBe(whole.get("etag"));
			const headersOf = (tag: string | null) => ({ "If-None-Match": tag ?? "" });
			const again = await call("GET", `${pathOf(tenant)}?alg=${alg}`, { headers: headersOf(etag) });
			expect([again.status, again.text]).toEqual([304, ""]);
		}
		for (const query of ["alg=HS256", "alg=Ed25519", "alg=", "alg=ES256&alg=EdDSA", "kty=EC"]) {
			expectProblem(
				await call("GET", `${pathOf(tenant)}?${query}`),
				400,
				query.startsWith("alg") ? "invalid_request" : "unknown_field",
			);
		}
	});

	it("has the current version of each key though one has as many versions as it may have", async () => {
		const tenant = await newTenant();
		const keys = [await newKey(tenant, "ES256"), await newKey(tenant), await newKey(tenant)];
		const [first, many, last] = keys.map(({ id }) => id);
		await ownerSql().query(
			`insert into key_versions (tenant_id, key_id, version, public_jwk, kek_id, sealed)
			select tenant_id, key_id, n, public_jwk, kek_id, sealed
			from key_versions, generate_series(2, $3::int) n where tenant_id = $1 and key_id = $2`,
			[tenant.id, many, limits.jwksKeys],
		);
		await ownerSql().query(
			"update keys set current_version = $3 where tenant_id = $1 and id = $2",
			[tenant.id, many, limits.jwksKeys],
		);
		const kids = await kidsOf(tenant);
		expect(kids).toHaveLength(limits.jwksKeys);
		const versions = Array.from(
			{ length: limits.jwksKeys - 2 },
			(_, age) => `${many}.${limits.jwksKeys - age}`,
		);
		expect(kids).toEqual([`${last}.1`, ...versions, `${first}.1`]);
		const { json } = await call("GET", `${pathOf(tenant)}?alg=ES256`);
		expect(json.keys.map(({ kid }: JwksKey) => kid)).toEqual([`${first}.1`]);
	});

	it("has a key still when as many as it may have were made after it", async () => {
		const tenant = await newTenant();
		const { id } = await newKey(tenant);
		await ownerSql().query(
			`with made as (
				insert into keys (tenant_id, id, name, algorithm, has_private)
				select tenant_id, gen_random_uuid(), 'more-' || n, algorithm, true
				from keys, generate_series(1, $3::int) n where tenant_id = $1 and id = $2
				returning tenant_id, id)
			insert into key_versions (tenant_id, key_id, version, public_jwk, kek_id, sealed)
			select tenant_id, made.id, 1, public_jwk, kek_id, sealed
			from made join key_versions v using (tenant_id) where v.key_id = $2`,
			[tenant.id, id, limits.jwksKeys],
		);
		const kids = await kidsOf(tenant);
		expect(kids).toHaveLength(limits.jwksKeys);
		expect(kids).toContain(`${id}.1`);
	});

	it("is readable by anyone, from any page, as a JWK Set", async () => {
		const tenant = await newTenant();
		const answer = await call("GET", pathOf(tenant), { token: null });
		expect(answer.headers.get("content-type")).toBe("application/jwk-set+json");
		expect(answer.headers.get("access-control-allow-origin")).toBe("*");
		expect(answer.headers.get("cache-control")).toBe(
			"public, max-age=60, stale-while-revalidate=60",
		);
		expect(answer.json).toEqual({ keys: [] });
	});

	it("has no key whose private half others have: they would sign for the tenant", async () => {
		const tenant = await newTenant();
		const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
		const json = { name: "partner", algorithm: "Ed25519", key: { kty: "OKP", crv: "Ed25519", x } };
		expect((await tenant.call("POST", "/v1/keys/import", { json })).status).toBe(201);
		expect(await keysOf(tenant)).toEqual([]);
	});

	it("has every version that verifies, newest first, with a kid of its own", async () => {
		const tenant = await newTenant();
		const key = await newKey(tenant);
		for (let i = 0; i < 2; i++) await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		expect(await kidsOf(tenant)).toEqual([`${key.id}.3`, `${key.id}.2`, `${key.id}.1`]);
		const raise = (json: object) => tenant.call("PATCH", `/v1/keys/${key.id}`, { json });
		await raise({ minSignVersion: 3, minVerifyVersion: 2 });
		expect(await kidsOf(tenant)).toEqual([`${key.id}.3`, `${key.id}.2`]);
		await raise({ minVerifyVersion: 1 });
		expect(await kidsOf(tenant)).toHaveLength(3);
	});

	it("has more versions than are loaded to verify with", async () => {
		const tenant = await newTenant();
		const key = await newKey(tenant);
		for (let i = 0; i < 17; i++) await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		expect(await kidsOf(tenant)).toHaveLength(18);
	});

	it("has no key that is disabled, waits for its deletion, or is due", async () => {
		const tenant = await newTenant();
		const enabled = await newKeyIn(tenant, "enabled");
		await newKeyIn(tenant, "disabled");
		await newKeyIn(tenant, "pending_deletion");
		await deletionIsDue(tenant, (await newKey(tenant)).id);
		expect(await kidsOf(tenant)).toEqual([`${enabled.id}.1`]);
	});

	it("shows a change of this isolate at once", async () => {
		const tenant = await newTenant();
		expect(await kidsOf(tenant)).toEqual([]);
		const key = await newKey(tenant);
		expect(await kidsOf(tenant)).toEqual([`${key.id}.1`]);
		await tenant.call("POST", `/v1/keys/${key.id}/disable`);
		expect(await kidsOf(tenant)).toEqual([]);
		await tenant.call("POST", `/v1/keys/${key.id}/enable`);
		await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		expect(await kidsOf(tenant)).toHaveLength(2);
	});

	it("verifies a JWT by the kid in its header, also after a rotation", async () => {
		const tenant = await newTenant();
		const key = await newKey(tenant);
		const { json } = await tenant.call("POST", `/v1/keys/${key.id}/jwt`, { json: { claims: {} } });
		await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		const jwk = (await keysOf(tenant)).find(({ kid }) => kid === json.kid);
		const [header, payload, signature] = json.token.split(".");
		const publicKey = await crypto.subtle.importKey("jwk", jwk as JsonWebKey, "Ed25519", false, [
			"verify",
		]);
		const bytes = fromBase64Url(signature) ?? new Uint8Array();
		const signed = new TextEncoder().encode(`${header}.${payload}`);
		expect(await crypto.subtle.verify("Ed25519", publicKey, bytes, signed)).toBe(true);
	});

	it.each(["nobody-of-this-name", "A", "a b", "ä"])("answers 404 for the tenant %s", async (id) => {
		const answer = await call("GET", `/t/${id}/.well-known/jwks.json`);
		expectProblem(answer, 404, "tenant_not_found");
		expect(answer.headers.get("cache-control")).toBe("no-store");
	});

	it("asks Postgres once for a tenant that there is not, and its address pays for that", async () => {
		const services = createServices(env, () => 1_000_000); // in which nothing fills
		let asked = 0;
		const query: Services["db"]["query"] = (statement, params) => {
			asked++;
			return services.db.query(statement, params);
		};
		const counting = { ...services, db: { ...services.db, query } };
		const raw = new Request("https://edgesign.test/", {
			headers: { "CF-Connecting-IP": "198.51.100.77" },
		});
		const left = () => services.addresses.spend(addressOf(raw), 0).limit.remaining;
		const before = left();
		for (let tries = 0; tries < 10; tries++) {
			const answer = await serve(getJwks, counting, raw, { tenant: "nobody" }, inBackground);
			expect(answer.status).toBe(404);
		}
		expect(asked).toBe(1);
		expect(before - left()).toBe(10 + limits.addressUnknownTokenCost);
		const tenant = await newTenant();
		const found = await serve(getJwks, counting, raw, { tenant: tenant.id }, inBackground);
		expect(found.status).toBe(200);
		expect(before - left()).toBe(11 + limits.addressUnknownTokenCost + limits.addressLookUpCost);
	});

	it.each([
		["that has less left than a look-up costs", "yes", 1, 429, "rate_limited"],
		["that the platform's limiter refuses", "no", limits.addressQuota, 429, "rate_limited"],
		["of which that tells nothing", "unknown", limits.addressQuota, 503, "unavailable"],
	] as const)("reads nothing for an address %s", async (_, confirmed, left, status, code) => {
		const services = createServices(env, () => 1_000_000); // in which nothing fills
		let asked = 0;
		const query: Services["db"]["query"] = (statement, params) => {
			asked++;
			return services.db.query(statement, params);
		};
		const addresses = { ...services.addresses, confirm: async () => confirmed };
		const counting = { ...services, addresses, db: { ...services.db, query } };
		const raw = new Request("https://edgesign.test/", {
			headers: { "CF-Connecting-IP": "198.51.100.79" },
		});
		services.addresses.spend(addressOf(raw), limits.addressQuota - left);
		const { id } = await newTenant();
		const answer = await serve(getJwks, counting, raw, { tenant: id }, inBackground);
		const problem = await answer.json<{ code: string }>();
		expect([answer.status, problem.code]).toEqual([status, code]);
		expect(asked).toBe(0);
	});

	it("costs its address a look-up and no more while Postgres is away", async () => {
		const services = createServices(env, () => 1_000_000); // in which nothing fills
		const query = () => Promise.reject(new DatabaseUnavailable("gone"));
		const away = { ...services, db: { ...services.db, query } };
		const raw = new Request("https://edgesign.test/", {
			headers: { "CF-Connecting-IP": "198.51.100.78" },
		});
		const left = () => services.addresses.spend(addressOf(raw), 0).limit.remaining;
		const before = left();
		const answer = await serve(getJwks, away, raw, { tenant: "nobody" }, inBackground);
		expect(answer.status).toBe(503);
		expect(before - left()).toBe(1 + limits.addressLookUpCost);
	});

	it.each([
		["a NUL", "%00"],
		["33 characters", "a".repeat(33)],
	])("refuses a tenant with %s", async (_, id) => {
		const answer = await call("GET", `/t/${id}/.well-known/jwks.json`);
		expectProblem(answer, 400, "invalid_request", { pointer: "/tenant" });
	});
});

describe("the JWKS with If-None-Match", () => {
	let tenant: Tenant;
	let etag: string;
	beforeAll(async () => {
		tenant = await newTenant();
		await newKey(tenant);
		etag = (await call("GET", pathOf(tenant))).headers.get("etag") ?? "";
	});
	const ask = (value: string, method = "GET") =>
		call(method, pathOf(tenant), { headers: { "If-None-Match": value } });

	it("has a strong ETag, which stays while nothing changes", async () => {
		expect(etag).toMatch(/^"[\w-]{43}"$/);
		expect((await call("GET", pathOf(tenant))).headers.get("etag")).toBe(etag);
		const other = await newTenant();
		expect((await call("GET", pathOf(other))).headers.get("etag")).not.toBe(etag);
	});

	it.each([
		["the ETag", () => etag],
		["it as a weak one", () => `W/${etag}`],
		["a list that has it", () => `"other", ${etag}`],
		["a list without spaces", () => `"other",W/${etag},"more"`],
		["anything", () => "*"],
	])("answers 304 without a body to %s", async (_, value) => {
		for (const method of ["GET", "HEAD"]) {
			const answer = await ask(value(), method);
			expect([answer.status, answer.text]).toEqual([304, ""]);
			expect(answer.headers.get("etag")).toBe(etag);
			expect(answer.headers.get("cache-control")).toContain("max-age=60");
			expect(answer.headers.get("access-control-allow-origin")).toBe("*");
			expect(answer.headers.get("x-request-id")).not.toBeNull();
		}
	});

	it.each([
		["another ETag", () => '"other"'],
		["a list without it", () => '"a", W/"b"'],
		["it without its quotes", () => etag.slice(1, -1)],
		["a part of it", () => `${etag.slice(0, 10)}"`],
		["an empty list", () => ""],
	])("answers the whole set to %s", async (_, value) => {
		const answer = await ask(value());
		expect(answer.status).toBe(200);
		expect(answer.json.keys).toHaveLength(1);
	});

	it("answers 200 with another ETag after a change", async () => {
		const changing = await newTenant();
		const key = await newKey(changing);
		const before = await call("GET", pathOf(changing));
		await changing.call("POST", `/v1/keys/${key.id}/rotate`);
		const headers = { "If-None-Match": before.headers.get("etag") ?? "" };
		const after = await call("GET", pathOf(changing), { headers });
		expect(after.status).toBe(200);
		expect(after.headers.get("etag")).not.toBe(before.headers.get("etag"));
	});

	it("answers HEAD with the headers of GET and no body", async () => {
		const [head, get] = [await call("HEAD", pathOf(tenant)), await call("GET", pathOf(tenant))];
		expect([head.status, head.text]).toEqual([200, ""]);
		for (const name of ["etag", "content-type", "cache-control"]) {
			expect(head.headers.get(name)).toBe(get.headers.get(name));
		}
	});
});

describe("the JWKS in another isolate", () => {
	it("follows a change when its memory is aged", async () => {
		const tenant = await newTenant();
		let now = 0;
		const elsewhere = createServices(env, () => now);
		expect(await readFrom(elsewhere, tenant)).toEqual([]);
		const key = await newKey(tenant);
		now = 1_349; // times are cut by up to a tenth
		expect(await readFrom(elsewhere, tenant)).toEqual([]);
		now = 1_500;
		expect(await readFrom(elsewhere, tenant)).toEqual([`${key.id}.1`]);
	});
});

async function readFrom(services: Services, tenant: Tenant): Promise<string[]> {
	const request = new Request(`https://edgesign.test${pathOf(tenant)}`);
	const response = await serve(getJwks, services, request, { tenant: tenant.id }, inBackground);
	const { keys } = await response.json<{ keys: JwksKey[] }>();
	return keys.map(({ kid }) => kid);
}

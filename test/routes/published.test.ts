import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { routes } from "../../src/app.ts";
import { serve } from "../../src/routes/serve.ts";
import { createServices } from "../../src/services.ts";
import { inBackground } from "../support/background.ts";
import { pathOf } from "../support/fixtures.ts";
import { newKey } from "../support/keys.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
let token: string;
beforeAll(async () => {
	tenant = await newTenant();
	token = await tenant.token("verifier");
	await newKey(tenant, "ES256", { name: "payments" });
});

interface Published {
	readonly id: string;
	readonly query?: Readonly<Record<string, string>>;
	readonly cacheControl: string;
	/** The value of Access-Control-Allow-Origin. */
	readonly origin: string | null;
}

const forAnyone = (seconds: number) => ({
	cacheControl: `public, max-age=${seconds}, stale-while-revalidate=${seconds}`,
	origin: "*",
});
const forCaller = { cacheControl: "private, no-cache", origin: null };
const published: readonly Published[] = [
	{ id: "getJwks", ...forAnyone(60) },
	{ id: "getAuditKeys", ...forAnyone(300) },
	{ id: "getOpenApi", ...forAnyone(300) },
	{ id: "getPublicKey", ...forCaller },
	{ id: "getPublicKey", query: { format: "pem" }, ...forCaller },
	{ id: "getPublicKey", query: { format: "raw", version: "1" }, ...forCaller },
];

describe.each(published)("$id $query", ({ id, query, cacheControl, origin }) => {
	const route = routes.find((one) => one.id === id);
	const ask = (method: string, ifNoneMatch?: string) => {
		const path = pathOf(route?.path ?? "", { tenant: tenant.id, key: "payments" }, query);
		const headers = ifNoneMatch === undefined ? {} : { "If-None-Match": ifNoneMatch };
		return tenant.call(method, path, { token, headers });
	};

	it("has an ETag of its content, and says who may keep it for how long", async () => {
		const { status, headers } = await ask("GET");
		expect(status).toBe(200);
		expect(headers.get("etag")).toMatch(/^"[\w-]{43}"$/);
		expect((await ask("GET")).headers.get("etag")).toBe(headers.get("etag"));
		expect(headers.get("cache-control")).toBe(cacheControl);
		expect(headers.get("access-control-allow-origin")).toBe(origin);
	});

	it("answers 304 to whoever has it, and the whole to whoever has another", async () => {
		const whole = await ask("GET");
		const etag = whole.headers.get("etag") ?? "";
		for (const method of ["GET", "HEAD"]) {
			const { status, text, headers } = await ask(method, `"old", W/${etag}`);
			expect([status, text]).toEqual([304, ""]);
			expect(headers.get("etag")).toBe(etag);
			expect(headers.get("cache-control")).toBe(cacheControl);
			expect(headers.get("content-type")).toBeNull();
		}
		const other = await ask("GET", '"old"');
		expect([other.status, other.text]).toEqual([200, whole.text]);
	});

	it("answers HEAD with the headers of GET and no body", async () => {
		const [head, get] = [await ask("HEAD"), await ask("GET")];
		expect([head.status, head.text]).toEqual([200, ""]);
		for (const name of ["etag", "content-type", "cache-control"]) {
			expect(head.headers.get(name)).toBe(get.headers.get(name));
		}
	});

	it("has the same ETag from another isolate", async () => {
		if (!route) throw new Error(`there is no route ${id}`);
		const params = id === "getJwks" ? { tenant: tenant.id } : { key: "payments" };
		const headers = { Authorization: `Bearer ${token}` };
		const url = `https://edgesign.test${pathOf(route.path, params, query)}`;
		const request = new Request(url, { headers });
		const answer = await serve(route, createServices(env), request, params, inBackground);
		expect(answer.headers.get("etag")).toBe((await ask("GET")).headers.get("etag"));
	});

	it("says in the OpenAPI document that it may answer 304", async () => {
		const { json } = await tenant.call("GET", "/openapi.json");
		expect(json.paths[route?.path ?? ""].get.responses).toHaveProperty("304");
	});
});

it("a key that was rotated has another ETag at once, and the old one in its old version", async () => {
	await newKey(tenant, "ES256", { name: "moving" });
	const etagOf = async (search: string) =>
		(await tenant.call("GET", `/v1/keys/moving/public${search}`)).headers.get("etag");
	const before = await etagOf("");
	await tenant.call("POST", "/v1/keys/moving/rotate");
	expect(await etagOf("")).not.toBe(before);
	expect(await etagOf("?version=1")).toBe(before);
});

it("a JWKS that was changed by hand is another one at once after a purge", async () => {
	const own = await newTenant();
	await newKey(own, "ES256");
	const path = `/t/${own.id}/.well-known/jwks.json`;
	const before = await own.call("GET", path);
	expect(before.json.keys).toHaveLength(1);
	await ownerSql().query("update keys set state = 'disabled' where tenant_id = $1", [own.id]);
	expect((await own.call("POST", "/v1/cache/purge")).status).toBe(200);
	const headers = { "If-None-Match": before.headers.get("etag") ?? "" };
	const after = await own.call("GET", path, { headers });
	expect([after.status, after.json]).toEqual([200, { keys: [] }]);
});

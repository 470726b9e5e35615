import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { routes } from "../../src/app.ts";
import { ok } from "../../src/lib/result.ts";
import type { LogEvent } from "../../src/observe/log.ts";
import { publicRoute, type Route } from "../../src/routes/route.ts";
import { serve } from "../../src/routes/serve.ts";
import { readyz } from "../../src/routes/service.ts";
import { createServices } from "../../src/services.ts";
import { expectBaseHeaders, expectProblem } from "../support/answers.ts";
import { inBackground } from "../support/background.ts";
import { newKey } from "../support/keys.ts";
import { type Answer, call, newTenant, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
	await newKey(tenant, "Ed25519", { name: "payments" });
});

/** Nothing listens on the port of discard. */
const nowhere = "http://127.0.0.1:9";
const request = (path: string) => new Request(`https://edgesign.test${path}`);

describe("GET /healthz", () => {
	it("answers without a look at anything else", async () => {
		const answer = await call("GET", "/healthz", { token: null });
		expect(answer.status).toBe(200);
		expect(answer.json).toEqual({ status: "ok" });
		expect(answer.headers.get("cache-control")).toBe("no-store");
		expect((await call("HEAD", "/healthz")).text).toBe("");
	});
});

// It is asked again where what is there took longer to answer than it waits.
describe("GET /readyz", () => {
	it("answers 200 when Postgres and Redis answer", async () => {
		const up = { ok: true, milliseconds: expect.any(Number) };
		await expect
			.poll(async () => {
				const { status, json } = await call("GET", "/readyz", { token: null });
				return { status, json };
			})
			.toEqual({ status: 200, json: { ready: true, postgres: up, redis: up } });
	});

	it.each([
		["is not there", { UPSTASH_REDIS_REST_URL: nowhere }],
		["refuses the token", { UPSTASH_REDIS_REST_TOKEN: "wrong" }],
	])("answers 503 with the same body when Redis %s", async (_, bindings) => {
		const services = createServices({ ...env, ...bindings });
		await expect
			.poll(async () => {
				const response = await serve(readyz, services, request("/readyz"), {}, inBackground);
				expectBaseHeaders(response.headers);
				return { status: response.status, json: await response.json() };
			})
			.toMatchObject({
				status: 503,
				json: { ready: false, postgres: { ok: true }, redis: { ok: false } },
			});
	});

	it("answers 503 when Postgres refuses the password", async () => {
		const databaseUrl = new URL(env.DATABASE_URL);
		databaseUrl.password = "wrong";
		const services = createServices({ ...env, DATABASE_URL: databaseUrl.href });
		let body = "";
		await expect
			.poll(async () => {
				const response = await serve(readyz, services, request("/readyz"), {}, inBackground);
				body = await response.text();
				return { status: response.status, json: JSON.parse(body) };
			})
			.toMatchObject({
				status: 503,
				json: { ready: false, postgres: { ok: false }, redis: { ok: true } },
			});
		expect(body).not.toContain("password");
	});
});

describe("a path that is none", () => {
	it.each([
		["GET", "/v1"],
		["POST", "/v1/key"],
		["GET", "/v2/keys"],
		["GET", "/v1/keys/"],
		["POST", "/v1/keys/payments/sign/more"],
		["GET", "/V1/keys"],
		["GET", "/t/main/jwks.json"],
		["DELETE", "/nothing"],
	])("is 404 with and without a token: %s %s", async (method, path) => {
		for (const answer of [await call(method, path), await tenant.call(method, path)]) {
			expectProblem(answer, 404, "route_not_found", { says: ["/docs"] });
		}
	});
});

it("a path that is one but for its dots is none", async () => {
	for (const path of ["/openapiXjson", "/t/main/Xwell-known/jwksXjson"]) {
		expectProblem(await tenant.call("GET", path), 404, "route_not_found");
	}
});

describe("a method that a path does not take", () => {
	const methodsOf = new Map<string, string[]>();
	for (const { path, method } of routes) {
		const more = method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()];
		methodsOf.set(path, [...(methodsOf.get(path) ?? []), ...more]);
	}

	it.each([...methodsOf])("is 405 with Allow: %s takes %j", async (path, methods) => {
		const real = path.replace("{key}", "payments").replace("{tenant}", "main");
		for (const method of ["PUT", "OPTIONS", "POST", "DELETE", "GET"]) {
			const isKeyNamedImport = path === "/v1/keys/import" && method !== "PUT";
			if (methods.includes(method) || isKeyNamedImport) continue;
			const answer = await tenant.call(method, real);
			expectProblem(answer, 405, "method_not_allowed");
			const allowed = (answer.headers.get("allow") ?? "").split(", ");
			for (const known of methods) expect(allowed).toContain(known);
			expect(allowed).not.toContain(method);
			for (const known of allowed) expect(answer.json.detail).toContain(known);
		}
	});
});

describe("every kind of answer", () => {
	const sign = "/v1/keys/payments/sign";
	const json = { "Content-Type": "application/json" };
	const kinds: readonly [number, string, () => Promise<Answer>][] = [
		[200, "JSON", () => tenant.call("GET", "/v1/keys")],
		[200, "a PEM", () => tenant.call("GET", "/v1/keys/payments/public?format=pem")],
		[200, "bytes", () => tenant.call("GET", "/v1/keys/payments/public?format=raw")],
		[200, "a JWKS", () => call("GET", `/t/${tenant.id}/.well-known/jwks.json`)],
		[200, "HEAD", () => tenant.call("HEAD", "/v1/keys")],
		[200, "the document", () => call("GET", "/openapi.json")],
		[200, "the page", () => call("GET", "/docs")],
		[200, "the page's own address", () => call("GET", "/docs/")],
		[200, "a script of the page", () => call("GET", "/docs/docs.js")],
		[
			201,
			"a new key",
			() => tenant.call("POST", "/v1/keys", { json: { name: "n", algorithm: "ES256" } }),
		],
		[
			304,
			"nothing new",
			() =>
				call("GET", `/t/${tenant.id}/.well-known/jwks.json`, { headers: { "If-None-Match": "*" } }),
		],
		[400, "a bad body", () => tenant.call("POST", sign, { body: "{", headers: json })],
		[401, "no token", () => call("GET", "/v1/keys")],
		[404, "no key", () => tenant.call("GET", "/v1/keys/nobody")],
		[404, "no route", () => call("GET", "/nothing")],
		[404, "no file of the page", () => call("GET", "/docs/nothing.js")],
		[405, "no such method", () => call("PUT", "/v1/keys")],
		[
			409,
			"a name in use",
			() => tenant.call("POST", "/v1/keys", { json: { name: "payments", algorithm: "ES256" } }),
		],
		[
			413,
			"a large body",
			() => tenant.call("POST", "/v1/keys", { body: "x".repeat(70_000), headers: json }),
		],
		[415, "another type", () => tenant.call("POST", sign, { body: "x" })],
		[
			422,
			"an encoding that there is not",
			() => tenant.call("POST", sign, { json: { message: "", encoding: "der" } }),
		],
	];

	it.each(kinds)("%s: %s has the headers of the service", async (status, _, ask) => {
		const answer = await ask();
		expect(answer.status).toBe(status);
		expectBaseHeaders(answer.headers);
		if (status < 400) return;
		expect(answer.headers.get("content-type")).toBe("application/problem+json");
		expect(answer.headers.get("cache-control")).toBe("no-store");
		expect(answer.json.requestId).toBe(answer.headers.get("x-request-id"));
	});

	it("204 has them, and no body and no type of one", async () => {
		const { json: made } = await tenant.call("POST", "/v1/tokens", {
			json: { name: "short", role: "verifier" },
		});
		const answer = await tenant.call("DELETE", `/v1/tokens/${made.id}`);
		expect([answer.status, answer.text]).toEqual([204, ""]);
		expectBaseHeaders(answer.headers);
		expect(answer.headers.get("content-type")).toBeNull();
	});

	it("has a request id of its own, whatever the caller sent", async () => {
		const headers = { "X-Request-Id": "mine" };
		const ids: (string | null)[] = [];
		for (let i = 0; i < 3; i++) {
			ids.push((await call("GET", "/healthz", { headers })).headers.get("x-request-id"));
		}
		expect(new Set(ids).size).toBe(3);
		expect(ids).not.toContain("mine");
	});
});

describe("something that fails on our side", () => {
	const secret = "the key is c2VjcmV0";
	const broken: Route = publicRoute(
		{
			method: "get",
			path: "/broken",
			id: "broken",
			addressCost: 1,
			tag: "Service",
		},
		async ({ raw }) => {
			if (raw.url.endsWith("/text")) throw secret;
			throw new TypeError(secret);
		},
	);

	it.each(["/broken", "/broken/text"])(
		"is a 500 without detail, and logged under its id: %s",
		async (path) => {
			const events: LogEvent[] = [];
			const services = { ...createServices(env), log: (event: LogEvent) => events.push(event) };
			const response = await serve(broken, services, request(path), {}, inBackground);
			expect(response.status).toBe(500);
			expectBaseHeaders(response.headers);
			const text = await response.text();
			expect(text).not.toContain("c2VjcmV0");
			const { requestId, code, detail } = JSON.parse(text);
			expect(code).toBe("internal");
			expect(detail).toContain("request id");
			expect(requestId).toBe(response.headers.get("x-request-id"));
			expect(events).toMatchObject([{ event: "request_failed", requestId, route: "broken" }]);
		},
	);

	it("is a 500 when a handler's answer can not be written", async () => {
		const cyclic: Record<string, unknown> = {};
		cyclic.self = cyclic;
		const route = { ...broken, handle: async () => ok({ json: cyclic }) } as Route;
		const events: LogEvent[] = [];
		const services = { ...createServices(env), log: (event: LogEvent) => events.push(event) };
		const response = await serve(route, services, request("/broken"), {}, inBackground);
		expect(response.status).toBe(500);
		expect(events).toHaveLength(1);
	});
});

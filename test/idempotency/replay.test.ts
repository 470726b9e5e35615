import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { openApi } from "../../openapi/document.ts";
import { documentedRoutes as routes } from "../../openapi/routes.ts";
import { toBase64 } from "../../src/lib/bytes.ts";
import * as limits from "../../src/limits.ts";
import { createServices } from "../../src/services.ts";
import { expectBaseHeaders, expectProblem } from "../support/answers.ts";
import { exampleTenant, pathOf } from "../support/fixtures.ts";
import { hello, newKey } from "../support/keys.ts";
import { type Answer, type CallOptions, newTenant, type Tenant } from "../support/tenant.ts";
import { ask, newIdempotencyKey, storedEntries, withEntries, withStatement } from "./support.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

/** The same request with a key of its own, as often as it is called. */
function keyed(method: string, path: string, options: CallOptions = {}, from = tenant) {
	const key = newIdempotencyKey();
	return (changed: CallOptions = {}) =>
		from.call(method, path, {
			...options,
			...changed,
			headers: { "Idempotency-Key": key, ...options.headers, ...changed.headers },
		});
}

function expectReplay(again: Answer, first: Answer): void {
	expect(again.headers.get("idempotency-replayed")).toBe("true");
	expect(first.headers.get("idempotency-replayed")).toBeNull();
	expect(again.status).toBe(first.status);
	expect(again.headers.get("content-type")).toBe(first.headers.get("content-type"));
	expect(again.text).toBe(first.text);
	expectBaseHeaders(again.headers);
	expect(again.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
}

const changing = routes.filter((route) => route.permission !== null && route.method !== "get");

describe.each(changing)("$method $path with a key", (route) => {
	it("answers the same the second time, and does nothing", async () => {
		const own = await exampleTenant();
		const [example] = route.examples;
		const path = pathOf(route.path, example?.params, example?.query);
		const options = example?.body === undefined ? {} : { json: example.body };
		const send = keyed(route.method.toUpperCase(), path, options, own);
		const first = await send();
		expect(first.status, first.text).toBe(route.status);
		const seen = await own.call("GET", "/v1/keys/payments");
		expectReplay(await send(), first);
		expect((await own.call("GET", "/v1/keys/payments")).text).toBe(seen.text);
		// The key is what does it: the same request with another one is another request.
		const other = await keyed(route.method.toUpperCase(), path, options, own)();
		expect(other.headers.get("idempotency-replayed")).toBeNull();
	});
});

describe("a signature with a key", () => {
	it.each(["ES256", "ES256K", "BIP340", "PS256"] as const)(
		"is the same to the byte for %s, which signs with chance",
		async (algorithm) => {
			const key = await newKey(tenant, algorithm);
			const path = `/v1/keys/${key.id}/sign`;
			const send = keyed("POST", path, { json: { message: hello } });
			const first = await send();
			expect(first.status, first.text).toBe(200);
			expectReplay(await send(), first);
			expectReplay(await send(), first);
			const without = await tenant.call("POST", path, { json: { message: hello } });
			expect(without.json.signature).not.toBe(first.json.signature);
		},
	);

	it("is the same for a batch, whose items each have their own answer", async () => {
		const key = await newKey(tenant, "ES256");
		const items = Array.from({ length: 1000 }, (_, i) =>
			i % 10 === 3
				? { message: "%" }
				: { message: toBase64(Uint8Array.of(i & 255)), reference: `r${i}` },
		);
		const send = keyed("POST", `/v1/keys/${key.id}/sign-batch`, { json: { items } });
		const first = await send();
		expect(first.status).toBe(200);
		expectReplay(await send(), first);
	});

	it("stays what it was after a rotation", async () => {
		const key = await newKey(tenant, "ES256");
		const send = keyed("POST", `/v1/keys/${key.id}/sign`, { json: { message: hello } });
		const first = await send();
		await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		expectReplay(await send(), first);
	});
});

describe("a key that was used", () => {
	it("is refused for another body, query, path or method, and keeps its answer", async () => {
		const { id } = await newKey(tenant);
		const { id: otherId } = await newKey(tenant);
		const key = newIdempotencyKey();
		const send = (method: string, path: string, json?: unknown) =>
			tenant.call(method, path, {
				headers: { "Idempotency-Key": key },
				...(json !== undefined && { json }),
			});
		const first = await send("DELETE", `/v1/keys/${id}?days=7`);
		expect(first.status).toBe(200);
		for (const [method, path, json] of [
			["DELETE", `/v1/keys/${id}?days=8`],
			["DELETE", `/v1/keys/${otherId}?days=7`],
			["POST", `/v1/keys/${id}/sign`, { message: hello }],
			["PATCH", `/v1/keys/${id}`, { tags: {} }],
		] as const) {
			expectProblem(await send(method, path, json), 422, "idempotency_key_reused");
		}
		expectReplay(await send("DELETE", `/v1/keys/${id}?days=7`), first);
		expect((await tenant.call("GET", `/v1/keys/${otherId}`)).json.state).toBe("enabled");
	});

	it("is refused for another If-Match, which decides on what is replaced", async () => {
		const own = await newTenant();
		const send = keyed("PUT", "/v1/config", { json: {} }, own);
		const first = await send({ headers: { "If-Match": '"0"' } });
		expect(first.status).toBe(200);
		for (const headers of [{ "If-Match": '"1"' }, {}]) {
			expectProblem(await send({ headers }), 422, "idempotency_key_reused");
		}
		expectReplay(await send({ headers: { "If-Match": '"0"' } }), first);
	});

	it("is refused for another body under the same path", async () => {
		const { id } = await newKey(tenant);
		const send = keyed("POST", `/v1/keys/${id}/sign`, { json: { message: hello } });
		await send();
		expectProblem(await send({ json: { message: "d29ybGQ=" } }), 422, "idempotency_key_reused");
	});

	it("is not looked at before the body is well formed", async () => {
		const send = keyed("POST", "/v1/keys", { json: { name: "early", algorithm: "Ed25519" } });
		expectProblem(await send({ json: { name: "early" } }), 400, "invalid_request");
		expect((await send()).status).toBe(201);
		expectProblem(await send({ json: { name: "early" } }), 400, "invalid_request");
	});

	it("says nothing to another token, of this tenant or of another one", async () => {
		const json = { name: "scoped", role: "verifier" };
		const send = keyed("POST", "/v1/tokens", { json });
		const first = await send();
		expect(first.status).toBe(201);
		const second = await send({ token: await tenant.token("admin") });
		expect(second.status).toBe(201);
		expect(second.headers.get("idempotency-replayed")).toBeNull();
		expect(second.json.token).not.toBe(first.json.token);
		const other = await newTenant();
		const third = await send({ token: await other.token("admin") });
		expect(third.json.token).toMatch(new RegExp(`^es_${other.id}_`));
		expectReplay(await send(), first);
	});

	it("is of no use to a token that was revoked or may not do this", async () => {
		const send = keyed("POST", "/v1/tokens", { json: { name: "ci", role: "signer" } });
		const first = await send();
		expectProblem(await send({ token: null }), 401, "missing_token");
		expectProblem(await send({ token: first.json.token }), 403, "role_forbidden");
		const revoked = await tenant.token("admin", { revokedAt: "2020-01-01T00:00:00Z" });
		expectProblem(await send({ token: revoked }), 401, "invalid_token");
	});

	it("is the same in quotes", async () => {
		const send = keyed("POST", "/v1/keys", { json: { name: "quoted", algorithm: "Ed25519" } });
		const first = await send({ headers: { "Idempotency-Key": "quoted-1" } });
		expectReplay(await send({ headers: { "Idempotency-Key": '"quoted-1"' } }), first);
	});
});

describe("a refusal", () => {
	it("is kept too, with a problem document of its own each time", async () => {
		const send = keyed("POST", "/v1/keys", { json: { name: "taken", algorithm: "Ed25519" } });
		await newKey(tenant, "Ed25519", { name: "taken" });
		const first = await send();
		expectProblem(first, 409, "key_name_taken");
		await tenant.call("PATCH", "/v1/keys/taken", { json: { name: "given-up" } });
		const again = await send();
		expectProblem(again, 409, "key_name_taken");
		expect(again.headers.get("idempotency-replayed")).toBe("true");
		expect(again.json.requestId).not.toBe(first.json.requestId);
		expect(first.headers.get("idempotency-replayed")).toBeNull();
	});

	it("that asks for another try is not kept: the same request may do it yet", async () => {
		const own = await newTenant();
		const asked = { id: "putConfig", key: newIdempotencyKey(), token: await own.token("admin") };
		const json = { benchmarking_config: { enable_benchmarks: true } };
		const overtaken = withStatement("config.insert", async (run) => {
			await own.call("PUT", "/v1/config", { json: {} });
			return run();
		});
		const first = await ask(overtaken, { ...asked, json });
		expect(await first.json()).toMatchObject({ status: 409, code: "concurrent_change" });
		const again = await ask(createServices(env), { ...asked, json });
		expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([200, null]);
		expect(await again.json()).toMatchObject({ version: 2, config: json });
	});

	it("says so when no more answers can be kept, and does nothing", async () => {
		const token = await tenant.token("admin");
		const json = { name: "one-too-many", algorithm: "Ed25519" };
		const asked = { id: "createKey", key: newIdempotencyKey(), token, json };
		const refused = await ask(withEntries({ begin: async () => ({ state: "full" }) }), asked);
		expect(await refused.json()).toMatchObject({ status: 503, code: "idempotency_full" });
		expect(refused.headers.get("retry-after")).toBe(String(limits.idempotencyFullRetryMs / 1000));
		expect((await tenant.call("GET", "/v1/keys/one-too-many")).status).toBe(404);
	});
});

describe("the header", () => {
	it.each(["", "a b", "k".repeat(256), '"open'])("is refused when it is %j", async (value) => {
		const { id } = await newKey(tenant);
		const answer = await tenant.call("POST", `/v1/keys/${id}/disable`, {
			headers: { "Idempotency-Key": value },
		});
		expectProblem(answer, 400, "invalid_idempotency_key", { says: ["1 to 255"] });
		expect((await tenant.call("GET", `/v1/keys/${id}`)).json.state).toBe("enabled");
	});

	it("means nothing to a GET and to routes for anyone", async () => {
		const before = (await storedEntries()).length;
		for (const path of ["/v1/keys", "/healthz", `/v1/tenants/${tenant.id}/jwks.json`]) {
			for (const value of ["k", "not one"]) {
				const answer = await tenant.call("GET", path, { headers: { "Idempotency-Key": value } });
				expect([200, 404]).toContain(answer.status);
				expect(answer.headers.get("idempotency-replayed")).toBeNull();
			}
		}
		expect(await storedEntries()).toHaveLength(before);
	});
});

describe("every route that changes rows", () => {
	it("can answer again when its answer was lost", () => {
		const writing = routes.filter((route) => route.permission?.endsWith(":write"));
		expect(writing.length).toBeGreaterThan(8);
		for (const route of writing) {
			expect(route.permission !== null && route.again, route.id).toBeTypeOf("function");
		}
	});
});

describe("the OpenAPI document", () => {
	const document = openApi(routes);

	it.each(routes)("tells whether $method $path takes a key, and what can come of it", (route) => {
		const operation = document.paths?.[route.path]?.[route.method];
		const headers = (operation?.parameters ?? []).flatMap((parameter) =>
			"in" in parameter && parameter.in === "header" ? [parameter.name] : [],
		);
		const said = JSON.stringify(operation?.responses);
		const isChanging = changing.includes(route);
		const isVersioned = ["putConfig", "rollbackConfig"].includes(route.id);
		const isConditional = operation?.responses?.["304"] !== undefined;
		const expected = [
			...(isChanging ? ["Idempotency-Key"] : []),
			...(isVersioned ? ["If-Match"] : []),
			...(isConditional ? ["If-None-Match"] : []),
		];
		expect(headers).toHaveLength(expected.length);
		expect(headers).toEqual(expect.arrayContaining(expected));
		for (const code of [
			"invalid_idempotency_key",
			"idempotency_key_reused",
			"idempotency_running",
			"idempotency_full",
		]) {
			expect(said.includes(code), code).toBe(isChanging);
		}
	});
});

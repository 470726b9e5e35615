import { describe, expect, it } from "vitest";
import { openApi } from "../openapi/document.ts";
import { headers } from "../openapi/headers.ts";
import { documentedRoutes as routes } from "../openapi/routes.ts";
import { errorTable } from "../src/errors.ts";
import { problem } from "../src/schemas/answers/service.ts";
import { exampleTenant, pathOf } from "./support/fixtures.ts";
import { type Answer, call } from "./support/tenant.ts";

const document = openApi(routes);

/** An answer has the headers that the document says it must have, and of those that it knows no others. */
function expectHeaders({ method, path }: (typeof routes)[number], answer: Answer): void {
	const said = document.paths?.[path]?.[method]?.responses?.[String(answer.status)];
	const names = Object.keys((said as { headers: object }).headers);
	for (const [name, { required }] of Object.entries<{ description: string; required?: boolean }>(
		headers,
	)) {
		if (answer.headers.has(name)) expect(names).toContain(name);
		else if (required) expect(names).not.toContain(name);
	}
}

// biome-ignore lint/suspicious/noExplicitAny: a JSON Schema, of which each test knows its part
type Schema = any;

function bodySchema(method: "post" | "patch", path: string): Schema {
	const { requestBody } = document.paths?.[path]?.[method] ?? {};
	return (requestBody as Schema)?.content["application/json"].schema;
}

function querySchema(method: "get" | "put" | "delete", path: string, name: string): Schema {
	const { parameters = [] } = document.paths?.[path]?.[method] ?? {};
	return (parameters as Schema[]).find((parameter) => parameter.name === name)?.schema;
}

describe("what a route refuses, the document refuses", () => {
	const newKeySchema = bodySchema("post", "/v1/keys").properties;
	const items = document.components?.schemas ?? {};

	it.each<[string, Schema]>([
		["sign", bodySchema("post", "/v1/keys/{key}/sign")],
		["verify", bodySchema("post", "/v1/keys/{key}/verify")],
		["verifyStateless", bodySchema("post", "/v1/verify")],
		["an item to sign", items.SignItem],
		["an item to verify", items.VerifyItem],
	])("both a message and a digest, and neither: %s", (_, schema) => {
		expect(schema.oneOf).toEqual([{ required: ["message"] }, { required: ["digest"] }]);
	});

	it("a change of a key that changes nothing", () => {
		expect(bodySchema("patch", "/v1/keys/{key}").minProperties).toBe(1);
	});

	it.each<[string, Schema, number, number]>([
		["limit", querySchema("get", "/v1/keys", "limit"), 1, 200],
		["version", querySchema("get", "/v1/config", "version"), 0, 2_147_483_647],
		["version", querySchema("get", "/v1/keys/{key}/public", "version"), 1, 1_000],
		["days", querySchema("delete", "/v1/keys/{key}", "days"), 7, 30],
	])("numbers in a query beyond their bounds: %s", (_, schema, minimum, maximum) => {
		expect(schema).toMatchObject({ type: "integer", minimum, maximum });
		expect(schema).not.toHaveProperty("pattern");
	});

	it.each<[string, Schema, string]>([
		["a token's name", bodySchema("post", "/v1/tokens").properties.name, "name"],
		["a tag's value", newKeySchema.tags.additionalProperties, "ü\u00a0😀"],
		["a prefix", querySchema("get", "/v1/keys", "prefix"), "pay"],
		["a note", querySchema("put", "/v1/config", "note"), "why"],
		["a reference", (items.SignItem as Schema).properties.reference, "order-1"],
	])("control characters: %s", (_, { pattern }, good) => {
		expect(good).toMatch(new RegExp(pattern, "u"));
		for (const bad of ["\u0000", "a\nb", "a\u001f", "\u007f", "\u0085", "\u009f"]) {
			expect(bad).not.toMatch(new RegExp(pattern, "u"));
		}
	});

	it("names of tags, and of keys, that are none", () => {
		const { tags, name } = newKeySchema;
		const tagName = new RegExp(tags.propertyNames.pattern, "u");
		for (const good of ["team", "a.b/c_d-1", "t".repeat(64)]) expect(good).toMatch(tagName);
		for (const bad of ["", "a b", ".a", "ü", "t".repeat(65)]) expect(bad).not.toMatch(tagName);
		expect(tags.description).toContain("letter or digit");
		const id = new RegExp(name.not.pattern, "u");
		for (const bad of [
			"01900000-0000-7000-8000-00000000000a",
			"0190000A-0000-7000-8000-000000000001",
		]) {
			expect(bad).toMatch(id);
		}
		expect("01900000-0000-7000-8000-00000000000").not.toMatch(id);
	});
});

describe("the headers of answers", () => {
	it("are all described, once", () => {
		const used = [...JSON.stringify(document).matchAll(/#\/components\/headers\/([\w-]+)/g)];
		expect(new Set(used.map(([, name]) => name))).toEqual(new Set(Object.keys(headers)));
		expect(document.components?.headers).toEqual(headers);
	});

	it.each<["get" | "put" | "post", string, string, string, boolean]>([
		["post", "/v1/keys/{key}/sign", "200", "RateLimit", true],
		["post", "/v1/keys/{key}/sign", "200", "Idempotency-Replayed", true],
		["post", "/v1/keys/{key}/sign", "401", "WWW-Authenticate", true],
		["post", "/v1/keys/{key}/sign", "401", "Idempotency-Replayed", false],
		["post", "/v1/keys/{key}/sign", "409", "Retry-After", true],
		["post", "/v1/keys/{key}/sign", "429", "Retry-After", true],
		["post", "/v1/keys/{key}/sign", "503", "Retry-After", true],
		["get", "/v1/keys/{key}", "200", "Retry-After", false],
		["get", "/v1/keys/{key}", "200", "ETag", false],
		["put", "/v1/config", "200", "ETag", true],
		["get", "/openapi.json", "304", "ETag", true],
	])("are said by status: %s %s, %s, %s", (method, path, status, name, isSaid) => {
		const said = document.paths?.[path]?.[method]?.responses?.[status] as Schema;
		expect(Object.hasOwn(said.headers, name)).toBe(isSaid);
		expect(said.headers).toHaveProperty("X-Request-Id");
	});
});

describe("GET /openapi.json", () => {
	it("serves the document that the routes make, which `npm run openapi` writes", async () => {
		const answer = await call("GET", "/openapi.json");
		expect(answer.status).toBe(200);
		expect(answer.json).toEqual(JSON.parse(JSON.stringify(document)));
	});

	it("may be kept by anyone for five minutes, and is not sent again to whoever has it", async () => {
		const { headers } = await call("GET", "/openapi.json");
		const etag = headers.get("etag") ?? "";
		expect(etag).toMatch(/^"[\w-]{43}"$/);
		expect(headers.get("content-type")).toBe("application/json");
		expect(headers.get("cache-control")).toBe("public, max-age=300, stale-while-revalidate=300");
		const again = await call("GET", "/openapi.json", { headers: { "If-None-Match": etag } });
		expect([again.status, again.headers.get("etag")]).toEqual([304, etag]);
		const head = await call("HEAD", "/openapi.json");
		expect([head.status, head.headers.get("etag"), head.text]).toEqual([200, etag, ""]);
	});

	it("says OpenAPI 3.1 and has every route under its method", () => {
		expect(document.openapi).toBe("3.1.0");
		for (const route of routes) {
			expect(document.paths?.[route.path]?.[route.method]?.operationId).toBe(route.id);
		}
	});

	it("resolves every reference", () => {
		const text = JSON.stringify(document);
		const names = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
		expect(names.length).toBeGreaterThan(10);
		for (const name of names) expect(document.components?.schemas).toHaveProperty(name ?? "");
	});

	it.each(routes)("says that $method $path may be refused by a limit, if it has one", (route) => {
		const said = JSON.stringify(document.paths?.[route.path]?.[route.method]?.responses);
		const isLimited = route.permission !== null || route.addressCost > 0;
		expect(said.includes("`rate_limited`")).toBe(isLimited);
	});

	it("names every error code of the service", () => {
		expect(document["x-errors"]).toEqual(errorTable);
	});
});

describe.each(routes)("the examples of $method $path", (route) => {
	it.each(route.examples.map((example, index) => ({ example, index })))(
		"work as they stand: $index",
		async ({ example }) => {
			const tenant = await exampleTenant();
			const path = pathOf(route.path, example.params, example.query);
			const answer = await tenant.call(route.method.toUpperCase(), path, {
				...(example.body !== undefined && { json: example.body }),
			});
			expect(answer.json?.detail).toBeUndefined();
			expect(answer.status).toBe(route.status);
			expectHeaders(route, answer);
			if (route.answer.schema && example.query?.format !== "pem") {
				expect(answer.json).toBeDefined();
				expect(route.answer.schema.safeParse(answer.json).error).toBeUndefined();
			}
		},
	);
});

describe.each(routes.filter((route) => route.permission !== null))("$method $path", (route) => {
	it("answers a problem document of its schema when it is refused", async () => {
		const answer = await call(route.method.toUpperCase(), pathOf(route.path));
		expect(answer.headers.get("content-type")).toBe("application/problem+json");
		expect(problem.safeParse(answer.json).error).toBeUndefined();
		expectHeaders(route, answer);
	});
});

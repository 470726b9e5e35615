import { describe, expect, it } from "vitest";
import { openApi } from "../openapi/document.ts";
import { documentedRoutes as routes } from "../openapi/routes.ts";
import { errorTable } from "../src/errors.ts";
import { problem } from "../src/schemas/service.ts";
import { exampleTenant, pathOf } from "./support/fixtures.ts";
import { call } from "./support/tenant.ts";

const document = openApi(routes);

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
	});
});

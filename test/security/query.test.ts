import { beforeAll, expect, it } from "vitest";
import { documentedRoutes as routes } from "../../openapi/routes.ts";
import { expectProblem } from "../support/answers.ts";
import { exampleTenant, pathOf } from "../support/fixtures.ts";
import type { Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await exampleTenant();
});

// What is ignored may have been meant: a fence, a version, a filter.
it.each(routes)("$method $path refuses a parameter that it does not know", async (route) => {
	const [example] = route.examples;
	const path = pathOf(route.path, example?.params, { ...example?.query, x: "1" });
	const answer = await tenant.call(route.method.toUpperCase(), path, {
		...(example?.body !== undefined && { json: example.body }),
	});
	expectProblem(answer, 400, "unknown_field", { pointer: "/x" });
});

it("has routes that take no parameters at all among them", () => {
	expect(routes.some(({ query }) => query === undefined)).toBe(true);
});

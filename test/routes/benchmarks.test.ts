import { beforeAll, describe, expect, it } from "vitest";
import { newTenant, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

describe("POST /v1/benchmarks/run", () => {
	it("measures every figure of the deployed service", async () => {
		const answer = await tenant.call("POST", "/v1/benchmarks/run");
		console.log(answer.text);
		expect(answer.status).toBe(200);
	});
});

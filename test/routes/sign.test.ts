import { describe, expect, it } from "vitest";
import { newTenant } from "../support/tenant.ts";

describe("POST /v1/keys/{key}/sign", () => {
	it("signs what verify accepts, by name and by id", async () => {
		const tenant = await newTenant();
		const created = await tenant.call("POST", "/v1/keys", {
			json: { name: "payments", algorithm: "Ed25519" },
		});
		expect(created.json).toMatchObject({ name: "payments", state: "enabled", version: 1 });
		expect(created.status).toBe(201);
		for (const ref of ["payments", created.json.id]) {
			const signed = await tenant.call("POST", `/v1/keys/${ref}/sign`, {
				json: { message: "aGVsbG8=" },
			});
			expect(signed.status).toBe(200);
			const { signature } = signed.json;
			const verified = await tenant.call("POST", `/v1/keys/${ref}/verify`, {
				json: { message: "aGVsbG8=", signature },
			});
			expect(verified.json).toEqual({ valid: true, version: 1 });
		}
	});
});

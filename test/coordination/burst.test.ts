import { expect, it } from "vitest";
import { hello, newKey } from "../support/keys.ts";
import { newTenant } from "../support/tenant.ts";

it("a cold isolate that a hundred requests meet at once signs for all of them", async () => {
	const tenant = await newTenant();
	await newKey(tenant, "Ed25519", { name: "payments" });
	const token = await tenant.token("signer");
	const answers = await Promise.all(
		Array.from({ length: 100 }, () =>
			tenant.call("POST", "/v1/keys/payments/sign", { token, json: { message: hello } }),
		),
	);
	const statuses = new Set(answers.map(({ status }) => status));
	expect([...statuses]).toEqual([200]);
});

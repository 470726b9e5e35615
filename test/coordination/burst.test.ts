import { expect, it } from "vitest";
import { hello, newKey } from "../support/keys.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

const sign = async (tenant: Tenant, token: string) =>
	tenant.call("POST", "/v1/keys/payments/sign", { token, json: { message: hello } });

async function newSigner() {
	const tenant = await newTenant();
	await newKey(tenant, "Ed25519", { name: "payments" });
	return { tenant, token: await tenant.token("signer") };
}

it("an isolate that knows nothing of a tenant signs for a hundred requests that come at once", async () => {
	// By another tenant, for the modules: to load them takes seconds here, and none where they are bundled.
	const other = await newSigner();
	expect((await sign(other.tenant, other.token)).status).toBe(200);

	const { tenant, token } = await newSigner();
	const answers = await Promise.all(Array.from({ length: 100 }, () => sign(tenant, token)));
	const statuses = new Set(answers.map(({ status }) => status));
	expect([...statuses]).toEqual([200]);
});

import { exports } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import * as limits from "../../src/limits.ts";
import { readJson } from "../../src/routes/input.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

/** A signing request whose body is held back until `before` is done, and then some. */
async function signSlowly(
	tenant: Tenant,
	token: string,
	before: () => Promise<unknown>,
): Promise<Response> {
	const bytes = new TextEncoder().encode('{"message":"aGVsbG8="}');
	const body = new ReadableStream<Uint8Array>({
		async start(controller) {
			controller.enqueue(bytes.slice(0, 5));
			await before();
			await scheduler.wait(50);
			controller.enqueue(bytes.slice(5));
			controller.close();
		},
	});
	await tenant.call("POST", "/v1/keys", { json: { name: "payments", algorithm: "Ed25519" } });
	return exports.default.fetch("https://edgesign.test/v1/keys/payments/sign", {
		method: "POST",
		headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
		body,
	});
}

it("signs for a slow caller whose token still counts", async () => {
	const tenant = await newTenant();
	const token = await tenant.token("signer");
	expect((await signSlowly(tenant, token, async () => {})).status).toBe(200);
});

it("does not sign for a token that was revoked while its body was held back", async () => {
	const tenant = await newTenant();
	const id = "01900000-0000-7000-8000-00000000000a";
	const token = await tenant.token("signer", { id });
	const answer = await signSlowly(tenant, token, async () => {
		await scheduler.wait(50); // the token has been looked at
		expect((await tenant.call("DELETE", `/v1/tokens/${id}`)).status).toBe(204);
	});
	expect(answer.status).toBe(401);
	const [row] = await ownerSql().query("select revoked_at from tokens where id = $1", [id]);
	expect(row).toBeDefined();
});

it("does not wait without an end for a body of which a part came", async () => {
	vi.useFakeTimers();
	try {
		const body = new ReadableStream<Uint8Array>({
			start: (controller) => controller.enqueue(new TextEncoder().encode('{"mes')),
		});
		const headers = { "Content-Type": "application/json" };
		const request = new Request("https://edgesign.test/", { method: "POST", headers, body });
		const reading = readJson(request, limits.bodyBytesSign, () => true);
		let isRefused = false;
		void reading.then(() => {
			isRefused = true;
		});
		await vi.advanceTimersByTimeAsync(limits.bodyTimeoutMs - 1);
		expect(isRefused).toBe(false);
		await vi.advanceTimersByTimeAsync(1);
		expect(isRefused).toBe(true);
		expect(await reading).toMatchObject({ ok: false, error: { code: "body_timeout" } });
	} finally {
		vi.useRealTimers();
	}
});

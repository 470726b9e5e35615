import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createApp } from "../src/app.ts";
import * as limits from "../src/limits.ts";
import { servicesOf } from "../src/services.ts";
import { hello, newKey } from "./support/keys.ts";
import { newTenant } from "./support/tenant.ts";

describe("a body that breaks off", () => {
	/** Sends `sent` to be signed, and then no more. */
	async function signCutOff(sent: string, headers: Record<string, string> = {}): Promise<Response> {
		const tenant = await newTenant();
		const key = await newKey(tenant);
		let isSent = false;
		const body = new ReadableStream({
			type: "bytes",
			pull(controller) {
				if (isSent) return controller.error(new Error("the sender went"));
				isSent = true;
				controller.enqueue(new TextEncoder().encode(sent));
			},
		});
		const request = new Request(`https://edgesign.test/v1/keys/${key.id}/sign`, {
			method: "POST",
			headers: {
				Authorization: `Bearer ${await tenant.token("signer")}`,
				"Content-Type": "application/json",
				...headers,
			},
			body,
		});
		return createApp().fetch(request, env, createExecutionContext());
	}
	const codeOf = async (answer: Response) => (await answer.json<{ code: string }>()).code;

	it.each([
		["in the middle", '{"message":"', {}],
		["after what would have been all of it", `{"message":"${hello}"}`, {}],
		["before its length", `{"message":"${hello}"}`, { "Content-Length": "1000" }],
		["with no type", "{", { "Content-Type": "" }],
	])("is its sender's fault, and no error of ours: %s", async (_, sent, headers) => {
		const logged = vi.spyOn(console, "error");
		const answer = await signCutOff(sent, headers);
		const code = "Content-Type" in headers ? "unsupported_media_type" : "invalid_json";
		expect([await codeOf(answer), logged.mock.calls]).toEqual([code, []]);
		logged.mockRestore();
	});

	it.each([{}, { "Content-Length": String(limits.bodyBytesSign + 2) }])(
		"is too large if it was that before: %j",
		async (headers) => {
			const answer = await signCutOff(" ".repeat(limits.bodyBytesSign + 1), headers);
			expect([answer.status, await codeOf(answer)]).toEqual([413, "body_too_large"]);
		},
	);
});

describe("what no route answers", () => {
	const app = createApp();
	// Nothing of what was spent comes back.
	beforeAll(() => void vi.spyOn(Date, "now").mockReturnValue(Date.now()));
	afterAll(() => vi.restoreAllMocks());

	async function ask(address: string, method: string, path: string): Promise<Response> {
		const headers = { "CF-Connecting-IP": address };
		const request = new Request(`https://edgesign.test${path}`, { method, headers });
		const response = await app.fetch(request, env, createExecutionContext());
		await response.arrayBuffer();
		return response;
	}
	const left = ({ headers }: Response) => Number(headers.get("x-ratelimit-remaining"));

	const priced: readonly [string, string, number, number][] = [
		["GET", "/nothing", 404, 1],
		["PUT", "/v1/keys", 405, 1],
		["GET", "/docs/nothing.js", 404, 1],
		["GET", "/docs/docs.js", 200, 1],
		["GET", "/", 302, 0],
		["GET", "/healthz", 200, 0],
	];

	it.each(priced)("tells and takes of its address: %s %s is %s, and costs %s", async (...asked) => {
		const [method, path, status, cost] = asked;
		const address = `203.0.113.${priced.findIndex(([, other]) => other === path)}`;
		for (const times of [1, 2, 3]) {
			const response = await ask(address, method, path);
			expect(response.status).toBe(status);
			expect(left(response)).toBe(limits.addressQuota - cost * times);
		}
	});

	it.each(priced)("from an address with nothing left: %s %s", async (...asked) => {
		const [method, path, status, cost] = asked;
		const address = "198.51.100.7";
		servicesOf(env).addresses.spend(address, limits.addressQuota);
		const response = await ask(address, method, path);
		expect([response.status, left(response)]).toEqual([cost > 0 ? 429 : status, 0]);
		expect(response.headers.get("retry-after")).toBe(cost > 0 ? "1" : null);
	});
});

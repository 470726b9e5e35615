import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import { createApp } from "../src/app.ts";
import { expectBaseHeaders } from "./support/answers.ts";

// In an isolate of its own: one makes its services once.
it("answers 500 while its environment is wrong, naming no value of it, and works when it is right", async () => {
	const app = createApp();
	const request = () => new Request("https://edgesign.test/healthz");
	const wrong = { ...env, KEY_ENCRYPTION_KEYS: "secret-id:c2VjcmV0" };
	const logged = vi.spyOn(console, "error").mockImplementation(() => {});
	const refused = await app.fetch(request(), wrong);
	expect(refused.status).toBe(500);
	expectBaseHeaders(refused.headers);
	const text = await refused.text();
	expect(text).not.toContain("secret");
	expect(JSON.parse(text).code).toBe("internal");
	const { requestId } = JSON.parse(text);
	expect(requestId).toBe(refused.headers.get("x-request-id"));
	const [line] = logged.mock.calls[0] ?? [];
	expect(JSON.parse(line)).toMatchObject({ event: "request_failed", requestId });
	expect(line).not.toContain("c2VjcmV0");
	expect((await app.fetch(request(), env)).status).toBe(200);
});

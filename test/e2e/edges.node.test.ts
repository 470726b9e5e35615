import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../src/limits.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

let stack: TestStack;
beforeAll(async () => {
	stack = await startTestStack({ edges: 2 });
});
afterAll(() => stack?.stop());

const body = { message: "aGVsbG8=" };

describe("two locations", () => {
	it("sign with the same keys", async () => {
		await stack.call("POST", "/v1/keys", { name: "shared", algorithm: "Ed25519" });
		const signatures: string[] = [];
		for (const edge of [0, 1]) {
			const signed = await stack.fetch("POST", "/v1/keys/shared/sign", body, edge);
			expect(signed.status).toBe(200);
			signatures.push(((await signed.json()) as { signature: string }).signature);
		}
		expect(signatures[0]).toBe(signatures[1]); // Ed25519 is deterministic
	});

	it("stop signing at the other one too, within the life of a lease", async () => {
		await stack.call("POST", "/v1/keys", { name: "stopped", algorithm: "Ed25519" });
		const sign = (edge: number) => stack.fetch("POST", "/v1/keys/stopped/sign", body, edge);
		for (const edge of [0, 1]) expect((await sign(edge)).status).toBe(200);
		await stack.call("POST", "/v1/keys/stopped/disable");
		const disabled = performance.now();
		expect((await sign(0)).status).toBe(409);
		let signedAt = disabled;
		while (performance.now() - disabled < limits.leaseTtlMs + 500) {
			const asked = performance.now();
			if ((await sign(1)).status === 200) signedAt = asked;
		}
		expect((await sign(1)).status).toBe(409);
		expect(signedAt - disabled).toBeLessThanOrEqual(limits.leaseTtlMs);
	});
});

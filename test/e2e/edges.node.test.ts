import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "../../local/database.ts";
import * as limits from "../../src/limits.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

let stack: TestStack;
beforeAll(async () => {
	stack = await startTestStack({ edges: 2 });
});
afterAll(() => stack?.stop());

const body = { message: "aGVsbG8=" };

/** How often a statement was run, by its name. */
async function callsOf(name: string): Promise<number> {
	return withDatabase(stack.databaseUrl, async (client) => {
		const query =
			"select coalesce(sum(calls), 0)::int as n from pg_stat_statements where query like $1";
		const { rows } = await client.query<{ n: number }>(query, [`% /* ${name} */%`]);
		return rows[0]?.n ?? 0;
	});
}

describe("two locations", () => {
	// Not in the isolate that tests share: what loads modules there now and then loses requests that all meet it cold.
	it("sign for a hundred requests that come at once where nobody has asked for anything yet", async () => {
		await stack.call("POST", "/v1/keys", { name: "first", algorithm: "Ed25519" });
		const asks = Array.from({ length: 100 }, () =>
			stack.fetch("POST", "/v1/keys/first/sign", body, 1),
		);
		const statuses = new Set((await Promise.all(asks)).map(({ status }) => status));
		// What a busy machine is too slow for is refused with 503.
		expect([...statuses].filter((status) => status !== 503)).toEqual([200]);
	});

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

	it("read a key once for all the cold requests that come to both at once", async () => {
		const key = { name: "wanted", algorithm: "Ed25519" };
		const { id } = await stack.call<{ id: string }>("POST", "/v1/keys", key);
		const names = ["tokens.byHash", "keys.byId"]; // those used most come along, by their names
		// From here on nobody knows anything of the tenant.
		await stack.call("PATCH", "/v1/keys/stopped?fence=true", { tags: { epoch: "new" } });
		const before = await Promise.all(names.map(callsOf));
		const start = performance.now();
		const answers = await Promise.all(
			Array.from({ length: 200 }, (_, index) =>
				stack.fetch("POST", `/v1/keys/${id}/sign`, body, index % 2),
			),
		);
		const elapsedMs = performance.now() - start;
		// On a busy machine some may outlive their lease; whatever became of them, they read nothing more.
		expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(0);
		const after = await Promise.all(names.map(callsOf));
		// The object remembers what it read for so long: who comes later than that brings another reading.
		const most = 1 + elapsedMs / limits.loadsHeldMs;
		for (const [index, calls] of after.entries()) {
			const reads = calls - (before[index] ?? 0);
			expect(reads, names[index]).toBeGreaterThanOrEqual(1);
			expect(reads, names[index]).toBeLessThanOrEqual(most);
		}
	});
});

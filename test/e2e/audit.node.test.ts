import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { withDatabase } from "../../local/database.ts";
import { findBreaks } from "../support/node/audit-chains.ts";
import { processWith } from "../support/node/processes.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

const tag = randomUUID();
let stack: TestStack;

beforeAll(async () => {
	process.env.EDGESIGN_TEST_TAG = tag;
	stack = await startTestStack();
	await stack.call("POST", "/v1/keys", { name: "log", algorithm: "ES256" });
});
afterAll(() => stack?.stop());

async function countRecords(): Promise<number> {
	const query = "select count(*)::int as n from audit_events";
	return withDatabase(stack.databaseUrl, async (client) => {
		const { rows } = await client.query<{ n: number }>(query);
		return rows[0]?.n ?? -1;
	});
}

// Kills under load, of Postgres and Redis too, are in test/chaos.
it("moves what was written before workerd was killed, though nobody asks for anything", async () => {
	await expect.poll(countRecords, { timeout: 10_000 }).toBe(1); // the key's
	await stack.call("POST", "/v1/keys/log/sign-batch", { items: [{ message: "aGVsbG8=" }] });
	process.kill(processWith(tag, "workerd serve"), "SIGKILL");
	await expect.poll(countRecords, { timeout: 30_000 }).toBe(2);
	expect(await withDatabase(stack.databaseUrl, findBreaks)).toEqual([]);
	// The worker's own role has counted both, though it may not write a count.
	const counts = { signatures: 1, invalid: 0, refused: 0, changes: 1 };
	const { usage } = await stack.call<{ usage: object[] }>("GET", "/v1/usage?by=target");
	expect(usage).toMatchObject([counts]);
	const used = await stack.call<{ keys: object[] }>("GET", "/v1/usage/keys");
	expect(used.keys).toMatchObject([{ name: "log", lastUsedOn: expect.any(String) }]);
}, 60_000);

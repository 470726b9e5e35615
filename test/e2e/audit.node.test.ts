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
	// Else the records of what the stack made at its start would come in between, within two minutes.
	await withDatabase(stack.databaseUrl, (client) => client.query("delete from audit_outbox"));
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
	await expect.poll(countRecords).toBe(1); // the key's
	await stack.call("POST", "/v1/keys/log/sign-batch", { items: [{ message: "aGVsbG8=" }] });
	process.kill(processWith(tag, "workerd serve"), "SIGKILL");
	await expect.poll(countRecords, { timeout: 30_000 }).toBe(2);
	expect(await withDatabase(stack.databaseUrl, findBreaks)).toEqual([]);
	// The worker's own role has counted both, though it may not write a count.
	const counts = { signatures: 1, invalid: 0, refused: 0, changes: 1 };
	type Usage = typeof counts & { readonly targetId: string };
	const { usage } = await stack.call<{ usage: Usage[] }>("GET", "/v1/usage?by=target");
	expect(new Set(usage.map(({ targetId }) => targetId)).size).toBe(1);
	// There is a row for each day, and midnight may have come in between.
	const sum = (name: keyof typeof counts) => usage.reduce((all, row) => all + row[name], 0);
	for (const [name, count] of Object.entries(counts)) {
		expect(sum(name as keyof typeof counts), name).toBe(count);
	}
	const used = await stack.call<{ keys: object[] }>("GET", "/v1/usage/keys");
	expect(used.keys).toMatchObject([{ name: "log", lastUsedOn: expect.any(String) }]);
}, 60_000);

import { describe, expect, it } from "vitest";
import { Breaker } from "../../src/cache/breaker.ts";
import {
	type Database,
	DatabaseError,
	DatabaseUnavailable,
	type Statement,
} from "../../src/db/client.ts";
import { withReplica } from "../../src/db/replica.ts";

const lagging: Statement = { name: "test.lagging", text: "select 1", mayLag: true };
const exact: Statement = { name: "test.exact", text: "select 1" };

/** A primary and a replica that answer who they are, and the clock that the pauses go by. */
function setUp() {
	const world = { now: 0, fault: null as Error | null, failed: [] as string[] };
	const rowsOf = (name: string) => [{ name }] as never;
	const primary: Database = {
		query: async () => rowsOf("primary"),
		transaction: async (calls) => calls.map(() => rowsOf("primary")),
	};
	let asked = 0;
	const db = withReplica({
		primary,
		replica: {
			async query() {
				asked++;
				if (world.fault) throw world.fault;
				return rowsOf("replica");
			},
		},
		gate: new Breaker(() => world.now, { pauseMs: 1_000, pauseMsMax: 30_000 }),
		onFailure: (statement) => world.failed.push(statement),
	});
	return { db, world, asked: () => asked };
}

describe("a read replica", () => {
	it("answers what may lag, and nothing else", async () => {
		const { db } = setUp();
		expect(await db.query(lagging, [])).toEqual([{ name: "replica" }]);
		expect(await db.query(exact, [])).toEqual([{ name: "primary" }]);
		const calls = [{ statement: lagging, params: [] }];
		expect(await db.transaction(calls)).toEqual([[{ name: "primary" }]]);
	});

	it.each([
		new DatabaseUnavailable("no connection"),
		new DatabaseError("test.lagging", "40001", undefined),
	])("that fails with $message costs one question, and the primary answers", async (fault) => {
		const { db, world, asked } = setUp();
		world.fault = fault;
		for (let i = 0; i < 5; i++) expect(await db.query(lagging, [])).toEqual([{ name: "primary" }]);
		expect([asked(), world.failed]).toEqual([1, ["test.lagging"]]);
	});

	it("is asked again after a while, and stays when it answers", async () => {
		const { db, world, asked } = setUp();
		world.fault = new DatabaseUnavailable("no connection");
		await db.query(lagging, []);
		world.fault = null;
		world.now += 1_000;
		for (let i = 0; i < 3; i++) expect(await db.query(lagging, [])).toEqual([{ name: "replica" }]);
		expect(asked()).toBe(4);
	});

	it("that refuses the statement is not passed over: the primary would refuse it too", async () => {
		const { db, world } = setUp();
		world.fault = new DatabaseError("test.lagging", "42601", undefined);
		await expect(db.query(lagging, [])).rejects.toBe(world.fault);
		expect(world.failed).toEqual([]);
	});
});

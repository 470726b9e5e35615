import { describe, expect, it } from "vitest";
import { type Database, DatabaseUnavailable, type Statement } from "../../src/db/client.ts";
import { observed, type QueryEvent, tallied } from "../../src/db/statistics.ts";
import * as limits from "../../src/limits.ts";

const statement = (name: string): Statement => ({ name, text: "select $1" });
const secret = "a parameter that nobody may read";

/** A database whose statements take as long, and answer as many rows, as they are told. */
function start() {
	let now = 1_000;
	let next: { milliseconds: number; rows: number; fails?: boolean } = { milliseconds: 5, rows: 1 };
	const events: QueryEvent[] = [];
	const answer = () => {
		now += next.milliseconds;
		if (next.fails) throw new DatabaseUnavailable("gone");
		return Array.from({ length: next.rows }, () => ({}));
	};
	const database: Database = {
		query: async <Row>() => answer() as Row[],
		transaction: async (calls) => calls.map(answer),
	};
	const db = observed(
		database,
		() => now,
		(event) => void events.push(event),
	);
	const ask = async (name: string, milliseconds = 5, rows = 1, fails = false) => {
		next = { milliseconds, rows, fails };
		return db.query(statement(name), [secret]).catch(() => null);
	};
	const report = async () => {
		now += limits.queryStatisticsMs;
		await ask("last");
		const event = events.findLast(({ event: kind }) => kind === "query_statistics");
		return event?.event === "query_statistics" ? event.statements : {};
	};
	return { db, ask, events, report };
}

describe("counts of statements", () => {
	it("have calls, rows, failures, total and slowest time of each name", async () => {
		const { ask, report } = start();
		await ask("keys.byId", 4, 2);
		await ask("keys.byId", 10, 1);
		await ask("keys.byId", 6, 0, true);
		await ask("tokens.list", 3, 50);
		expect(await report()).toMatchObject({
			"keys.byId": { calls: 3, failures: 1, rows: 3, totalMs: 20, slowestMs: 10 },
			"tokens.list": { calls: 1, failures: 0, rows: 50, totalMs: 3, slowestMs: 3 },
		});
	});

	it("begin anew after they were told, and are told no sooner than a minute later", async () => {
		const { ask, events, report } = start();
		await ask("keys.byId");
		await ask("keys.byId");
		expect(events).toEqual([]);
		await report();
		await ask("keys.byId");
		expect(await report()).toMatchObject({ "keys.byId": { calls: 1 } });
	});

	it("count each statement of a transaction, with the time of all", async () => {
		const { db, report } = start();
		const calls = ["a.one", "a.two"].map((name) => ({ statement: statement(name), params: [] }));
		await db.transaction(calls);
		expect(await report()).toMatchObject({
			"a.one": { calls: 1, rows: 1, totalMs: 10 },
			"a.two": { calls: 1, rows: 1, totalMs: 10 },
		});
	});

	it("are of so many names at the most", async () => {
		const { ask, report } = start();
		for (let n = 0; n < limits.queryNames + 5; n++) await ask(`made.up${n}`);
		const counted = await report();
		expect(Object.keys(counted)).toHaveLength(limits.queryNames);
	});
});

describe("a slow statement", () => {
	it("is told at once by its name, time and rows, without its parameters", async () => {
		const { ask, events } = start();
		await ask("audit.slice", limits.slowQueryMs - 1, 9);
		expect(events).toEqual([]);
		await ask("audit.slice", limits.slowQueryMs, 9);
		const milliseconds = limits.slowQueryMs;
		expect(events).toEqual([
			{ event: "slow_query", statement: "audit.slice", milliseconds, rows: 9 },
		]);
		expect(JSON.stringify(events)).not.toContain(secret);
	});

	it("that failed has no rows", async () => {
		const { ask, events } = start();
		await ask("audit.slice", limits.slowQueryMs, 9, true);
		expect(events).toMatchObject([{ statement: "audit.slice", rows: null }]);
	});

	it("leaves its error as it is", async () => {
		const { db, ask } = start();
		await ask("a.first", 1, 1, true);
		await expect(db.query(statement("a.second"), [])).rejects.toThrow(DatabaseUnavailable);
	});
});

describe("the tally of a request", () => {
	const call = (name: string) => ({ statement: statement(name), params: [] });

	it("names what was asked too often", async () => {
		const { db, repeated } = tallied(start().db);
		for (let n = 0; n < limits.queriesOfOneName; n++) await db.query(statement("keys.byId"), []);
		expect(repeated()).toEqual([]);
		await db.query(statement("keys.byId"), []);
		expect(repeated()).toEqual([["keys.byId", limits.queriesOfOneName + 1]]);
	});

	it("counts round trips: many of a name in one transaction are one", async () => {
		const { db, repeated } = tallied(start().db);
		await db.transaction(Array.from({ length: 50 }, () => call("keys.byId")));
		expect(repeated()).toEqual([]);
	});
});

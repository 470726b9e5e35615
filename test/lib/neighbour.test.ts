import { expect, it } from "vitest";
import { restFor } from "../../src/lib/neighbour.ts";

it("rests until every neighbour has had the thread, for as many turns as were made", async () => {
	const turns: number[] = [];
	const last = Promise.withResolvers<void>();
	const quick = { rest: async (made: number) => void turns.push(made) };
	const slow = { rest: (made: number) => quick.rest(made).then(() => last.promise) };
	let isOver = false;
	const rested = restFor([quick, slow], 1_000)(2.5).then(() => (isOver = true));
	await scheduler.wait(10);
	expect([turns, isOver]).toEqual([[2.5, 2.5], false]);
	last.resolve();
	await rested;
});

it("does not wait for ever, and goes on without one that is away", async () => {
	const silent = { rest: () => new Promise<void>(() => {}) };
	const away = { rest: () => Promise.reject(new Error("gone")) };
	const start = Date.now();
	await restFor([silent, away], 20)(1);
	expect(Date.now() - start).toBeGreaterThanOrEqual(15);
	await restFor([], 20)(1);
});

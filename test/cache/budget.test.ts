import { describe, expect, it } from "vitest";
import { MemoryBudget } from "../../src/cache/budget.ts";
import { memoryStore } from "../../src/cache/memory.ts";
import * as limits from "../../src/limits.ts";
import { Shedder } from "../../src/ratelimit/shed.ts";

const random = (byteCount: number) => new Uint8Array(byteCount).fill(1);
const clock = () => 0;

/** A budget of 100,000 bytes: a cache in it, and something else that holds what the test says. */
function ground() {
	const shedding: boolean[] = [];
	const budget = new MemoryBudget((isShedding) => shedding.push(isShedding), 100_000);
	const other = { bytes: 0 };
	budget.register({ name: "other", shareBytes: 0, bytes: () => other.bytes });
	const cache = memoryStore<string>(
		{ entries: 1_000, bytes: 100_000, ttlMs: 1e9, renewMs: 1e9 },
		{ clock, random, mayFill: budget.mayFill },
	);
	budget.register({
		name: "cache",
		shareBytes: 100_000,
		bytes: cache.heldBytes,
		release: cache.release,
	});
	const fill = (count: number) => {
		for (let i = 0; i < count; i++) cache.set("a", `key ${i}`, "value", 644, cache.now()); // 1,000 each
	};
	return { budget, other, cache, fill, shedding };
}

describe("a budget", () => {
	it("has nothing to do while there is room", () => {
		const { budget, cache, fill, shedding } = ground();
		fill(60);
		expect(cache.counts()).toMatchObject({ entries: 60, evictions: 0 });
		expect(budget.pressure).toBe("none");
		expect(shedding).toEqual([]);
	});

	it("makes caches give back at 70 %, as much as it takes and not more", () => {
		const { budget, other, cache, fill } = ground();
		fill(60);
		other.bytes = 30_000;
		expect(budget.check()).toBe("none");
		expect(budget.held).toBeLessThan(70_000);
		expect(budget.held).toBeGreaterThan(68_000);
		fill(60);
		expect(budget.held).toBeLessThan(72_000);
		expect(cache.counts().entries).toBeLessThan(42);
	});

	it("takes from each holder in proportion", () => {
		const { budget, other, cache, fill } = ground();
		const second = { held: 30_000 };
		const release = (bytes: number) => {
			second.held -= bytes;
		};
		budget.register({ name: "second", shareBytes: 0, bytes: () => second.held, release });
		fill(30);
		other.bytes = 30_000;
		budget.check();
		expect(Math.abs(second.held - cache.heldBytes())).toBeLessThan(1_500);
		expect(second.held).toBeLessThan(30_000 - 9_000);
	});

	it("lets caches take nothing new at 85 %, and go on when it is better", () => {
		const { budget, other, cache, fill } = ground();
		other.bytes = 86_000;
		fill(5);
		expect(cache.counts().entries).toBe(0);
		expect(budget.pressure).toBe("full");
		other.bytes = 20_000;
		fill(5);
		expect(cache.counts().entries).toBe(5);
	});

	it("sheds from 95 % on, until it is below 85 %", () => {
		const { budget, other, shedding } = ground();
		const seen = [94_000, 95_500, 90_000, 86_000, 84_000, 90_000].map((bytes) => {
			other.bytes = bytes;
			return budget.check();
		});
		expect(seen).toEqual(["full", "shedding", "shedding", "shedding", "evicting", "full"]);
		expect(shedding).toEqual([true, false]);
	});

	it("refuses two holders of one name", () => {
		const { budget } = ground();
		expect(() => budget.account("cache", 0)).toThrow("cache holds memory twice");
	});
});

describe("an account", () => {
	it("gives what there is room for, and is made room for", () => {
		const { budget, cache, fill } = ground();
		const bodies = budget.account("bodies", 10_000);
		fill(60);
		expect(bodies.take(65_000)).toBe(true);
		expect(cache.heldBytes()).toBeLessThan(6_000);
		expect(bodies.take(40_000)).toBe(false);
		bodies.giveBack(65_000);
		expect(bodies.take(40_000)).toBe(true);
		expect(budget.held).toBe(40_000 + cache.heldBytes());
	});

	it("ends the shedding that it began when it is given back", () => {
		const { budget, shedding } = ground();
		const bodies = budget.account("bodies", 10_000);
		bodies.take(96_000);
		expect(shedding).toEqual([true]);
		bodies.giveBack(96_000);
		expect(shedding).toEqual([true, false]);
	});
});

it("an isolate without memory refuses all but critical work at once, until it has some", () => {
	const shedder = new Shedder(clock, random);
	shedder.press(true);
	expect([shedder.refuses("low"), shedder.refuses("normal")]).toEqual([true, true]);
	expect(shedder.refuses("critical")).toBe(false);
	shedder.press(false);
	expect([shedder.refuses("low"), shedder.refuses("normal")]).toEqual([false, false]);
});

it("the shares of an isolate leave room for shedding to begin", () => {
	const shares = [
		limits.memoryProgramBytes,
		limits.memoryBodiesBytes,
		limits.memoryLeasesBytes,
		limits.memoryAddressesBytes,
		limits.memoryAnalysisBytes,
		2 * limits.cacheKeysBytes,
		limits.cacheTokensBytes,
		limits.cacheDocumentsBytes,
		4 * limits.cacheNegativeBytes,
	];
	const sum = shares.reduce((all, share) => all + share, 0);
	expect(sum).toBeLessThan(limits.memoryShedPart * limits.isolateBytes);
});

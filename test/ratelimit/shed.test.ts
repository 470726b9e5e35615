import { describe, expect, it } from "vitest";
import * as limits from "../../src/limits.ts";
import type { PriorityClass } from "../../src/ratelimit/policy.ts";
import { Shedder } from "../../src/ratelimit/shed.ts";

type Outcome = "ok" | "slow" | "failed";

/** A shedder whose time passes by whole intervals, and whose draws are spread evenly. */
function shedder() {
	let now = 1_000_000;
	let draws = 0;
	const shed = new Shedder(
		() => now,
		() => Uint8Array.of(draws++ % 256, 0),
	);
	return {
		shed,
		/** Ends the interval under way, and answers the level that comes of it. */
		interval(...outcomes: readonly Outcome[]): number {
			for (const outcome of outcomes) shed.report(outcome);
			now += limits.shedIntervalMs;
			return shed.level;
		},
		/** Time without anything. */
		pass(intervals: number): void {
			now += intervals * limits.shedIntervalMs;
		},
		/** The part that is refused of this class, of 256 draws. */
		refused(priority: PriorityClass): number {
			const refusals = Array.from({ length: 256 }, () => shed.refuses(priority));
			return refusals.filter(Boolean).length / 256;
		},
	};
}

/** The shedder when so many intervals in a row have raised its level. */
function raised(steps: number) {
	const made = shedder();
	for (let i = 1; i < limits.shedTroubledIntervals + steps; i++) made.interval("failed");
	return made;
}

describe("the shedder", () => {
	it("refuses nothing for one slow answer, be it the very first", () => {
		const { interval, refused } = shedder();
		expect(interval("slow")).toBe(0);
		expect(refused("low")).toBe(0);
		for (let i = 0; i < 100; i++) {
			expect(interval("ok")).toBe(0);
			expect(interval("slow")).toBe(0);
		}
	});

	it("refuses nothing while most answers are good", () => {
		const { interval } = shedder();
		for (let i = 0; i < 20; i++) expect(interval("ok", "slow", "ok", "failed", "ok")).toBe(0);
	});

	it.each(["slow", "failed"] as const)(
		"rises by one step an interval when answers stay %s",
		(bad) => {
			const { interval } = shedder();
			const levels = Array.from({ length: 6 }, () => interval(bad, "ok"));
			const expected = [0, 0, 0.1, 0.2, 0.3, 0.4];
			for (const [i, level] of levels.entries()) expect(level).toBeCloseTo(expected[i] ?? 0);
		},
	);

	it("takes seldom answers for what they are: silence in between is no sign of health", () => {
		const { interval } = shedder();
		interval("slow");
		interval();
		interval("slow");
		interval();
		expect(interval("slow")).toBeCloseTo(0.1);
	});

	it("does not add up troubles that lie far apart", () => {
		const { interval } = shedder();
		for (let i = 0; i < 20; i++) {
			expect(interval("failed")).toBe(0);
			for (let silent = 0; silent <= limits.shedSilentIntervals; silent++) interval();
		}
	});

	it("comes to the same whether or not it is looked at while nothing happens", () => {
		const [asked, unasked] = [raised(4), raised(4)];
		for (let i = 0; i < 9; i++) asked.interval();
		unasked.pass(9);
		expect(unasked.shed.level).toBeCloseTo(asked.shed.level);
		for (let i = 0; i < 3; i++) {
			expect(unasked.interval("failed")).toBeCloseTo(asked.interval("failed"));
		}
	});

	it("is at its worst and no worse after as long as it likes", () => {
		const { interval, refused } = raised(200);
		expect(interval("failed")).toBe(1);
		expect([refused("low"), refused("normal"), refused("critical")]).toEqual([1, 1, 0]);
	});

	it("refuses low operations first, normal ones when all low ones are, critical ones never", () => {
		const made = shedder();
		let before = 0;
		for (let i = 0; i < 20; i++) {
			const level = made.interval("failed");
			const [low, normal] = [made.refused("low"), made.refused("normal")];
			expect(made.refused("critical")).toBe(0);
			expect(low).toBeCloseTo(Math.min(1, 2 * level), 1);
			expect(normal).toBeCloseTo(Math.max(0, 2 * level - 1), 1);
			if (normal > 0) expect(low).toBe(1);
			expect(low).toBeGreaterThanOrEqual(before);
			before = low;
		}
	});

	it("falls by steps much smaller than it rose, down to nothing", () => {
		const { interval } = raised(3);
		const levels = Array.from({ length: 20 }, () => interval("ok"));
		expect(levels[0]).toBeCloseTo(0.28);
		expect(levels[9]).toBeCloseTo(0.1);
		expect(levels[19]).toBe(0);
		for (const [i, level] of levels.entries()) {
			if (i > 0) expect(level).toBeLessThanOrEqual(levels[i - 1] ?? 0);
		}
	});

	it("does not flap: where shedding helps at once, it neither stops nor grows at once", () => {
		const { interval } = raised(3);
		// The load that it sheds is what made the trouble: it comes back as soon as the answers are good.
		const levels = Array.from({ length: 60 }, (_, i) => interval(i % 2 === 0 ? "ok" : "failed"));
		const moves = levels.map((level, i) =>
			Math.abs(level - (i === 0 ? 0.3 : (levels[i - 1] ?? 0))),
		);
		expect(Math.max(...moves)).toBeLessThan(0.11);
		const rises = levels.filter((level, i) => i > 0 && level > (levels[i - 1] ?? 0));
		expect(rises).toEqual([]);
	});

	it("changes nothing within an interval, whatever it is told", () => {
		const { shed, interval } = raised(1);
		const before = shed.level;
		for (let i = 0; i < 1000; i++) shed.report("failed");
		expect(shed.level).toBe(before);
		expect(interval()).toBeCloseTo(before + 0.1);
	});

	it("has forgotten all of it after a long rest", () => {
		const { shed, interval } = raised(10);
		expect(shed.level).toBeCloseTo(1);
		for (let i = 0; i < 50; i++) interval();
		expect(shed.level).toBeCloseTo(0);
		expect(interval("failed")).toBe(0);
	});

	it("counts requests under way, and a backlog needs no second sign", () => {
		const { shed, interval, refused } = shedder();
		for (let i = 0; i < limits.backlogRequests; i++) shed.started();
		expect(interval("ok")).toBe(0);
		shed.started();
		expect(interval("ok")).toBeCloseTo(0.1);
		expect(refused("low")).toBeCloseTo(0.2, 1);
		shed.ended();
		expect(interval("ok")).toBeCloseTo(0.08);
	});
});

import { describe, expect, it } from "vitest";
import { steadyClock } from "../../src/lib/clock.ts";

describe("a steady clock", () => {
	it("goes on at the same pace where the other one is set back, and forward with it", () => {
		let wall = 10_000;
		const clock = steadyClock(() => wall);
		const told: number[] = [];
		for (const next of [10_000, 10_005, 4_000, 4_003, 4_003, 3_000, 3_001, 9_000]) {
			wall = next;
			told.push(clock());
		}
		expect(told).toEqual([10_000, 10_005, 10_005, 10_008, 10_008, 10_008, 10_009, 16_008]);
	});

	it("takes time to have passed where it was set back, and not where it was corrected", () => {
		let wall = 10_000;
		const clock = steadyClock(() => wall, { unseenMs: 2_000, slackMs: 100 });
		const told: number[] = [];
		for (const next of [10_000, 9_900, 9_905, 9_800, 9_810]) {
			wall = next;
			told.push(clock());
		}
		expect(told).toEqual([10_000, 10_000, 10_005, 12_005, 12_015]);
	});

	it("is never before what an earlier life saw", () => {
		let wall = 5_000;
		const clock = steadyClock(() => wall, { from: 8_000 });
		expect(clock()).toBe(8_000);
		wall = 5_100;
		expect(clock()).toBe(8_100);
		expect(steadyClock(() => wall, { from: 4_000 })()).toBe(5_100);
	});
});

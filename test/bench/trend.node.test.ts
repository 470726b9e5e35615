import { describe, expect, test } from "vitest";
import { trend } from "../../bench/stats.ts";

/** Numbers that look like noise and are the same in each run (Park and Miller 1988). */
function noise(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state * 48_271) % 2_147_483_647;
		return state / 2_147_483_647 - 0.5;
	};
}

function points(slope: number, spread: number, seed: number): [number, number][] {
	const next = noise(seed);
	return Array.from({ length: 16 }, (_, x) => [x, 5000 + slope * x + spread * next()]);
}

describe("the trend of points", () => {
	test("is the slope of a line, which is an interval of no width", () => {
		expect(trend(points(3, 0, 1))).toMatchObject({ median: 3, low: 3, high: 3, count: 16 });
	});

	test("is in its interval for 19 of 20 noisy lines, with the sign that a growth of its spread has", () => {
		const seeds = Array.from({ length: 100 }, (_, seed) => seed + 1);
		const held = seeds.filter((seed) => {
			const { low, high } = trend(points(2, 10, seed));
			return low <= 2 && 2 <= high;
		});
		expect(held.length).toBeGreaterThanOrEqual(90);
		expect(seeds.every((seed) => trend(points(2, 10, seed)).low > 0)).toBe(true);
	});

	test("does not follow one outlier", () => {
		const straight = points(0, 1, 7);
		straight[15] = [15, 9000];
		expect(Math.abs(trend(straight).median)).toBeLessThan(0.2);
	});

	test("of points without an order in x is none", () => {
		expect(() =>
			trend([
				[1, 2],
				[1, 3],
			]),
		).toThrow(RangeError);
	});
});

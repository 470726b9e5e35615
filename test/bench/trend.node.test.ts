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

	// The ranks are those of scipy.stats.theilslopes, the coverage is by Kendall's exact distribution.
	test.each([
		[2, 1, 0],
		[3, 1, 2 / 3],
		[4, 1, 11 / 12],
		[5, 1, 59 / 60],
		[9, 9, 0.955],
		[13, 23, 0.958],
	])(
		"of %i points goes from slope %i to the one as far from the end, and says how sure that is",
		(count, rank, coverage) => {
			const next = noise(count);
			const all = Array.from({ length: count }, (_, x): [number, number] => [x, next()]);
			const slopes = all
				.flatMap(([x, y], at) => all.slice(at + 1).map(([x2, y2]) => (y2 - y) / (x2 - x)))
				.sort((a, b) => a - b);
			const found = trend(all);
			expect(found.low).toBe(slopes[rank - 1]);
			expect(found.high).toBe(slopes.at(-rank));
			expect(found.coverage).toBeCloseTo(coverage, 3);
		},
	);

	test.each([5, 9, 13])(
		"of %i points holds the true slope in at least 95 of 100 lines",
		(count) => {
			const next = noise(count);
			const lines = Array.from({ length: 4_000 }, () =>
				trend(Array.from({ length: count }, (_, x): [number, number] => [x, 2 * x + next()])),
			);
			const held = lines.filter(({ low, high }) => low <= 2 && 2 <= high).length;
			expect(held / lines.length).toBeGreaterThan(0.95);
		},
	);

	test("stays an interval where points are above each other", () => {
		const all = Array.from({ length: 16 }, (_, at): [number, number] => [at % 2, at]);
		const { low, median, high } = trend(all);
		expect(low).toBeLessThan(median);
		expect(high).toBeGreaterThan(median);
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

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	median,
	medianInterval,
	nearestRank,
	pairedDifference,
	pairedRatio,
	percentile,
	pooledRatio,
} from "../../bench/stats.ts";
import { seeded } from "../support/noise.ts";

const oneTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe("median and percentiles", () => {
	test("the median is the middle sample, or the mean of the two in the middle", () => {
		expect(median([3, 1, 2])).toBe(2);
		expect(median([4, 1, 3, 2])).toBe(2.5);
	});

	test("a percentile is a sample, found by the nearest rank", () => {
		expect(percentile(oneTo(100), 0.5)).toBe(50);
		expect(percentile(oneTo(100), 0.99)).toBe(99);
		expect(percentile(oneTo(10), 0.99)).toBe(10);
		expect(percentile(oneTo(10), 0)).toBe(1);
		expect(percentile([7], 0.5)).toBe(7);
	});

	test("a percentile of a round number of samples is not one rank too far", () => {
		expect(percentile(oneTo(1_000), 99.9 / 100)).toBe(999);
		expect(percentile(oneTo(100), 0.07)).toBe(7);
		for (let count = 1; count <= 20_000; count += 7) {
			expect(nearestRank(99.9 / 100, count)).toBe(Math.ceil((999 * count) / 1000));
		}
		expect(nearestRank(99.9 / 100, 1_000_000_000)).toBe(999_000_000);
	});

	test("numbers are sorted as numbers, and the caller's array stays as it was", () => {
		const samples = [10, 9, 100];
		expect(median(samples)).toBe(10);
		expect(percentile(samples, 1)).toBe(100);
		expect(samples).toEqual([10, 9, 100]);
	});

	test("no samples have no median, no percentile and no interval", () => {
		expect(() => median([])).toThrow(RangeError);
		expect(() => percentile([], 0.5)).toThrow(RangeError);
		expect(() => medianInterval([])).toThrow(RangeError);
	});
});

describe("the interval of a median", () => {
	// Ranks and coverage as in the tables of the sign test.
	test.each([
		[6, 1, 6, 0.96875],
		[9, 2, 8, 0.9609375],
		[10, 2, 9, 0.978515625],
		[15, 4, 12, 0.96484375],
		[20, 6, 15, 0.9586105346679688],
		[100, 40, 61, 0.9647997997822954],
	])("of %i samples it goes from rank %i to rank %i", (count, low, high, coverage) => {
		const interval = medianInterval(oneTo(count));
		expect(interval).toMatchObject({ low, high, count });
		expect(interval.coverage).toBeCloseTo(coverage, 10);
	});

	test("of fewer than 6 samples it is all of them, with the coverage that they have", () => {
		expect(medianInterval(oneTo(5))).toMatchObject({ low: 1, high: 5, coverage: 0.9375 });
		expect(medianInterval([7])).toMatchObject({ median: 7, low: 7, high: 7, coverage: 0 });
	});

	test("it holds the true median in at least 95 of 100 series", () => {
		const random = seeded(20_261_121);
		const series = Array.from({ length: 4_000 }, () =>
			medianInterval(Array.from({ length: 12 }, () => Math.exp(3 * random()))),
		);
		const truth = Math.exp(1.5);
		const held = series.filter(({ low, high }) => low <= truth && truth <= high).length;
		expect(held / series.length).toBeGreaterThan(0.95);
		expect(held / series.length).toBeLessThan(0.98);
	});

	test("it lies within the samples and holds their median", () => {
		fc.assert(
			fc.property(
				fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1 }),
				(all) => {
					const { low, high, median: middle } = medianInterval(all);
					expect(low).toBeLessThanOrEqual(middle);
					expect(high).toBeGreaterThanOrEqual(middle);
					expect(all).toContain(low);
					expect(all).toContain(high);
				},
			),
		);
	});

	test("a large number of samples neither overflows nor loses its coverage", () => {
		const { low, high, coverage } = medianInterval(oneTo(5_000));
		expect(coverage).toBeGreaterThanOrEqual(0.95);
		expect(coverage).toBeLessThan(0.955);
		expect(low + high).toBe(5_001);
		expect(low).toBeGreaterThan(2_400);
	});
});

describe("paired ratios", () => {
	test("a drift that both sides share leaves the ratio as it is", () => {
		const beside = [100, 90, 80, 70, 60, 50];
		const ratio = pairedRatio(
			beside.map((value) => value * 0.8),
			beside,
		);
		expect(ratio.median).toBeCloseTo(0.8, 12);
		expect(ratio.high - ratio.low).toBeLessThan(1e-12);
	});

	test("a drift that both sides share leaves the difference as it is", () => {
		const beside = [100, 90, 80, 70, 60, 50];
		const difference = pairedDifference(
			beside.map((value) => value - 8),
			beside,
		);
		expect(difference).toMatchObject({ median: -8, low: -8, high: -8, count: 6 });
	});

	test("series of different lengths can not be paired", () => {
		expect(() => pairedRatio([1, 2], [1])).toThrow(RangeError);
		expect(() => pairedDifference([1], [1, 2])).toThrow(RangeError);
	});
});

describe("a ratio of what all rounds have together", () => {
	const pooledMean = (values: readonly number[]) => (rounds: readonly number[]) =>
		rounds.reduce((sum, round) => sum + (values[round] ?? 0), 0) / rounds.length;

	test("has the interval of a mean where it is one", () => {
		// Of a mean the jackknife's error is the standard error: here of logarithms that are almost the values.
		const values = [1.01, 0.99, 1.02, 0.98, 1.0];
		const { median, low, high, count } = pooledRatio(5, pooledMean(values));
		expect(median).toBeCloseTo(1, 12);
		expect(count).toBe(5);
		const error = Math.sqrt(0.001 / 4 / 5); // their squares sum to 0.001
		expect(Math.log(high)).toBeCloseTo(2.776 * error, 4); // t of 4 degrees of freedom, 95 %
		expect(Math.log(low)).toBeCloseTo(-2.776 * error, 4);
	});

	test("is certain where all rounds are alike, and not to be had of one", () => {
		expect(pooledRatio(3, () => 1.5)).toMatchObject({ low: 1.5, median: 1.5, high: 1.5 });
		expect(() => pooledRatio(1, () => 1)).toThrow(RangeError);
	});
});

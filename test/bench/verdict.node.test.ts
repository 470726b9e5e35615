import { describe, expect, test } from "vitest";
import type { Verdict } from "../../bench/figures.ts";
import { signedRankRatio } from "../../bench/stats.ts";
import { judgeAll } from "../../bench/verdict.ts";
import { normalNoise, seeded } from "../support/noise.ts";

const oneTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe("the signed-rank interval of paired ratios", () => {
	const ratios = (confidence: number, count: number) =>
		signedRankRatio(
			oneTo(count).map((i) => Math.exp(i)),
			Array(count).fill(1),
			confidence,
		);

	// The largest sum of ranks that is significant, as in the tables of Wilcoxon's test, two-sided.
	test.each([
		[6, 0.95, 0, 0.96875],
		[8, 0.95, 3, 0.9609375],
		[10, 0.95, 8, 0.951171875],
		[20, 0.95, 52, 0.9515590667724609],
		[50, 0.95, 434, 0.9505535931993983],
		[50, 0.99, 373, 0.9900357182346387],
	])("of %i pairs at %d leaves out sums up to %i", (count, confidence, sum, coverage) => {
		const means = oneTo(count)
			.flatMap((i) => oneTo(i).map((j) => (i + j) / 2))
			.sort((a, b) => a - b);
		const interval = ratios(confidence, count);
		expect(Math.log(interval.low)).toBeCloseTo(means[sum] ?? 0, 9);
		expect(Math.log(interval.high)).toBeCloseTo(means[means.length - 1 - sum] ?? 0, 9);
		expect(interval.coverage).toBeCloseTo(coverage, 9);
	});

	test("of too few pairs is their whole range, with the coverage that it has", () => {
		expect(ratios(0.99, 5)).toMatchObject({ coverage: 0.9375, count: 5 });
		expect(Math.log(ratios(0.99, 5).low)).toBeCloseTo(1, 9);
		expect(() => ratios(0.95, 0)).toThrow(RangeError);
	});

	test("a slow side and a fast side are each other's inverse", () => {
		const [a, b] = [
			[90, 97, 80, 101, 60, 75, 99],
			[100, 90, 85, 110, 70, 70, 120],
		];
		const [one, two] = [signedRankRatio(a, b, 0.95), signedRankRatio(b, a, 0.95)];
		expect(one.median * two.median).toBeCloseTo(1, 12);
		expect(one.low * two.high).toBeCloseTo(1, 12);
	});

	test("holds the true ratio in at least 95 of 100 series, and is narrower than that of the median", () => {
		const normal = normalNoise(seeded(4));
		const series = Array.from({ length: 2_000 }, () => {
			const logs = Array.from({ length: 20 }, () => 0.1 + 0.07 * normal());
			return signedRankRatio(logs.map(Math.exp), Array(20).fill(1), 0.95);
		});
		const held = series.filter(({ low, high }) => Math.log(low) <= 0.1 && 0.1 <= Math.log(high));
		expect(held.length / series.length).toBeGreaterThan(0.94);
		expect(held.length / series.length).toBeLessThan(0.965);
	});
});

describe("the verdict on a comparison of 50 rounds", () => {
	const count = 200;

	/** Two figures of two sides: a moody machine under both, noise of its own on each. */
	function verdicts(seed: number, slower: number, noise: number): Verdict[][] {
		const normal = normalNoise(seeded(seed));
		return Array.from({ length: count }, () => {
			const figures = ["cpu", "rate"].map((id) => {
				const mood = Array.from({ length: 50 }, () => 5_000 * Math.exp(0.3 * normal()));
				const side = (level: number) => mood.map((at) => at * level * Math.exp(noise * normal()));
				const line = { id, unit: "requests/s" } as const;
				return { ...line, values: side(1 - slower), besides: side(1) };
			});
			return judgeAll(figures, "the same").flatMap(({ verdict }) => verdict ?? []);
		});
	}

	test("of a side with itself is no difference, in both figures, in 99 of 100", () => {
		const quiet = verdicts(5, 0, 0.05).filter((both) =>
			both.every((verdict) => verdict === "no difference"),
		);
		expect(quiet.length / count).toBeGreaterThanOrEqual(0.985);
	});

	test("with a side that is 5 % slower finds it in at least 95 of 100 where pairs vary by 6 %", () => {
		const found = verdicts(6, 0.05 / 1.05, 0.06 / Math.SQRT2).filter(([cpu]) => cpu === "slower");
		expect(found.length / count).toBeGreaterThanOrEqual(0.95);
	});

	test("calls nothing below 1 % a difference, however sure it is", () => {
		const line = { id: "cpu", unit: "requests/s" } as const;
		const rates = { values: Array(50).fill(0.992), besides: Array(50).fill(1) };
		expect(judgeAll([{ ...line, ...rates }], "the same")[0]?.verdict).toBe("no difference");
	});

	test("says faster of what is, and refuses to judge few rounds", () => {
		const line = { id: "cpu", unit: "requests/s" } as const;
		const judge = (rounds: number) =>
			judgeAll([{ ...line, values: Array(rounds).fill(1.1), besides: Array(rounds).fill(1) }], "");
		expect(judge(8)[0]?.verdict).toBe("faster");
		expect(judge(7)[0]?.verdict).toBe("too few rounds");
	});
});

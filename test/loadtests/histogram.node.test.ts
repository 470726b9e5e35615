import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { percentile } from "../../bench/stats.ts";
import { Histogram } from "../../loadtests/generator/histogram.ts";

function histogramOf(times: readonly number[]): Histogram {
	const histogram = new Histogram();
	for (const time of times) histogram.record(time);
	return histogram;
}

describe("the histogram of latencies", () => {
	it("is exact to the microsecond up to two milliseconds", () => {
		const histogram = histogramOf([0.001, 0.25, 1.234, 2.047]);
		expect([0.25, 0.5, 0.75, 1].map((p) => histogram.percentile(p))).toEqual([
			0.001, 0.25, 1.234, 2.047,
		]);
	});

	it("finds every percentile within 0.1 % of the samples' own", () => {
		const time = fc.double({ min: 0.001, max: 60_000, noNaN: true });
		fc.assert(
			fc.property(fc.array(time, { minLength: 1, maxLength: 200 }), (times) => {
				const histogram = histogramOf(times);
				for (const p of [0, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1]) {
					const exact = percentile(times, p);
					const error = Math.abs(histogram.percentile(p) - exact);
					expect(error).toBeLessThanOrEqual(0.001 * exact + 0.001);
				}
			}),
		);
	});

	it("is the same when it was added up of pieces", () => {
		const times = [1, 5, 5, 20, 300, 4_000];
		const [one, other] = [histogramOf(times.slice(0, 3)), histogramOf(times.slice(3))];
		const sum = new Histogram();
		sum.add(one.take());
		sum.add(other.take());
		expect(one.count).toBe(0);
		expect(Number.isNaN(one.percentile(0.5))).toBe(true);
		expect(sum.take()).toEqual(histogramOf(times).take());
	});
});

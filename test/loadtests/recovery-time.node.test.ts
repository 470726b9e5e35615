import { expect, it } from "vitest";
import { timeUntilBack } from "../../loadtests/recovery-time.ts";
import type { Interval, Summary } from "../../loadtests/timeline.ts";

/** A service whose p95 and errors are functions of the time, in seconds. */
function service(p95: (second: number) => number, errors: (second: number) => number) {
	const summary = ({ from }: Interval): Summary => {
		const time = p95(from / 1000);
		return {
			...{
				seconds: 1,
				offered: 100,
				right: 100,
				errors: errors(from / 1000),
				dropped: 0,
				rate: 100,
			},
			latency: { mean: time, p50: time, p90: time, p95: time, p99: time, p999: time, max: time },
			outcomes: {},
		};
	};
	return { summary };
}

const before = { from: 0, to: 5_000 };
const after = { from: 10_000, to: 20_000 };
const slowUntil = (end: number) => (second: number) => (second > 5 && second < end ? 50 : 10.9);
const none = () => 0;

it("is the time until the p95 is within a tenth of before", () => {
	expect(timeUntilBack(service(slowUntil(12.5), none), before, after)).toBe(2_500);
	expect(timeUntilBack(service(slowUntil(0), none), before, after)).toBe(0);
});

it("is not over while more requests fail than before", () => {
	const errors = (second: number) => (second > 5 && second < 14 ? 1 : 0);
	expect(timeUntilBack(service(slowUntil(12.5), errors), before, after)).toBe(4_000);
});

it("is nothing where it does not end", () => {
	expect(timeUntilBack(service(slowUntil(60), none), before, after)).toBeNaN();
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as limits from "../../src/limits.ts";
import {
	available,
	filled,
	fullBucket,
	giveBack,
	resized,
	take,
	waitMs,
} from "../../src/ratelimit/bucket.ts";
import { tokenParts } from "../../src/ratelimit/policy.ts";

const policies = fc.record({
	quota: fc.integer({ min: 1, max: limits.quotaMax * tokenParts }),
	windowMs: fc.integer({ min: 1, max: limits.quotaWindowSecondsMax }).map((s) => s * 1000),
});

describe("a bucket", () => {
	it("has what it is asked to wait for at that time, and not a millisecond before", async () => {
		await fc.assert(
			fc.property(policies, fc.nat(), (policy, some) => {
				const tokens = 1 + (some % policy.quota);
				const bucket = take(fullBucket(policy, 0), policy.quota);
				const wait = waitMs(bucket, tokens);
				expect(available(filled(bucket, wait))).toBeGreaterThanOrEqual(tokens);
				expect(available(filled(bucket, wait - 1))).toBeLessThan(tokens);
			}),
		);
	});

	it("is filled the same, however often it is looked at", async () => {
		await fc.assert(
			fc.property(policies, fc.array(fc.nat(10_000), { maxLength: 200 }), (policy, steps) => {
				const empty = take(fullBucket(policy, 0), policy.quota);
				let bucket = empty;
				let now = 0;
				for (const step of steps) {
					now += step;
					bucket = filled(bucket, now);
				}
				expect(bucket.level).toBe(filled(empty, now).level);
				expect(Number.isSafeInteger(bucket.level)).toBe(true);
			}),
		);
	});

	it("and what is held of it are never more than its size", () => {
		const bucket = take(fullBucket({ quota: 100, windowMs: 1000 }, 0), 60);
		expect(available(filled(bucket, 60_000, 60))).toBe(40);
		expect(available(filled(bucket, 60_000, 25))).toBe(75);
		expect(available(giveBack(filled(bucket, 60_000, 25), 60))).toBe(100);
	});

	it("never waits for what it can not hold, and keeps its reserve", () => {
		const bucket = fullBucket({ quota: 100, windowMs: 1000 }, 0);
		expect(waitMs(bucket, 101)).toBe(Number.POSITIVE_INFINITY);
		expect(waitMs(bucket, 81, 20)).toBe(Number.POSITIVE_INFINITY);
		expect(available(bucket, 20)).toBe(80);
		expect(() => take(bucket, 101)).toThrow(RangeError);
	});

	it("is not moved by a clock that goes back, and is as full as before in another size", () => {
		const half = take(fullBucket({ quota: 100, windowMs: 1000 }, 500), 50);
		expect(filled(half, 400)).toBe(half);
		expect(available(resized(half, { quota: 1000, windowMs: 60_000 }))).toBe(500);
	});
});

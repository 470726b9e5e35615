import { describe, expect, test } from "vitest";
import { twoSidedP } from "../../src/benchmark/student.ts";

describe("the p-value of Student's t", () => {
	// Two-sided critical values as printed in tables of the distribution.
	test.each([
		[12.706_204_736, 1, 0.05],
		[4.302_652_73, 2, 0.05],
		[2.570_581_836, 5, 0.05],
		[2.228_138_852, 10, 0.05],
		[4.586_893_859, 10, 0.001],
		[2.042_272_456, 30, 0.05],
		[3.390_491_311, 100, 0.001],
		[1.959_963_985, 1e7, 0.05],
	])("of %d with %d degrees of freedom is %d", (t, freedom, p) => {
		expect(twoSidedP(t, freedom)).toBeCloseTo(p, 7);
		expect(twoSidedP(-t, freedom)).toBe(twoSidedP(t, freedom));
	});

	test("with one and two degrees of freedom it is what the closed forms say", () => {
		for (const t of [0.01, 0.5, 1, 3, 40, 1e4]) {
			expect(twoSidedP(t, 1) / (1 - (2 / Math.PI) * Math.atan(t))).toBeCloseTo(1, 7);
			expect(twoSidedP(t, 2)).toBeCloseTo(1 - t / Math.sqrt(2 + t * t), 12);
		}
	});

	test("at 0 it is 1, and without end 0", () => {
		expect(twoSidedP(0, 7)).toBe(1);
		expect(twoSidedP(Number.POSITIVE_INFINITY, 7)).toBe(0);
	});

	test("what is no test is refused", () => {
		expect(() => twoSidedP(1, 0)).toThrow(RangeError);
		expect(() => twoSidedP(Number.NaN, 3)).toThrow(RangeError);
	});
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ClosedLoad } from "../../loadtests/generator/messages.ts";
import {
	ClosedSource,
	createDraw,
	createPicker,
	openSource,
	timeOfArrival,
} from "../../loadtests/generator/sources.ts";

describe("the schedule of an open load", () => {
	it("has as many arrivals as the rate has area below it, in their order", () => {
		fc.assert(
			fc.property(
				fc.integer({ min: 0, max: 2_000 }),
				fc.integer({ min: 1, max: 2_000 }),
				fc.integer({ min: 1, max: 5 }),
				(from, to, seconds) => {
					const load = { model: "open", rateFrom: from, rateTo: to, mix: [[0, 1]] } as const;
					const source = openSource(load, 1_000, seconds, createDraw(1));
					let [count, last] = [0, 1_000];
					for (; source.nextDue() !== Number.POSITIVE_INFINITY; count++) {
						const { scheduled } = source.next();
						if (scheduled < last) expect.fail(`${scheduled} is due after ${last}`);
						last = scheduled;
					}
					expect(last).toBeLessThan(1_000 + seconds * 1_000);
					expect(Math.abs(count - ((from + to) / 2) * seconds)).toBeLessThanOrEqual(1);
				},
			),
			{ numRuns: 50 },
		);
	});

	it("is even where the rate is", () => {
		const times = [0, 1, 2, 399].map((n) => timeOfArrival(n, 200, 200, 2));
		expect(times).toEqual([0, 5, 10, 1_995]);
		expect(timeOfArrival(400, 200, 200, 2)).toBe(Number.POSITIVE_INFINITY);
	});
});

describe("a mix", () => {
	it("has its shares, and the same order for the same seed", () => {
		const mix = [
			[0, 70],
			[1, 25],
			[2, 5],
		] as const;
		const drawn = (seed: number) => {
			const pick = createPicker(mix, createDraw(seed));
			return Array.from({ length: 20_000 }, () => pick());
		};
		const counts = mix.map(([kind]) => drawn(3).filter((one) => one === kind).length / 200);
		for (const [index, [, share]] of mix.entries()) {
			expect(Math.abs((counts[index] ?? 0) - share)).toBeLessThan(1.5);
		}
		expect(drawn(3)).toEqual(drawn(3));
		expect(drawn(3)).not.toEqual(drawn(4));
	});
});

describe("the users of a closed load", () => {
	it("come in the order in which they are due, and again after they have thought", () => {
		const load: ClosedLoad = {
			...{ model: "closed", users: 50, thinkMs: 100, rampMs: 1_000, mix: [[0, 1]] },
		};
		const source = new ClosedSource(load, 0, 4, createDraw(1));
		let [now, asked] = [0, 0];
		for (; source.nextDue() !== Number.POSITIVE_INFINITY; asked++) {
			const { scheduled, user } = source.next();
			if (scheduled < now) expect.fail(`${scheduled} is due after ${now}`);
			now = scheduled;
			if (user) source.answered(user, now);
		}
		expect(now).toBeLessThan(4_000);
		// 50 users, a round each 100 ms, half a second less while they come.
		expect(asked).toBeGreaterThan(1_600);
		expect(asked).toBeLessThan(1_850);
	});
});

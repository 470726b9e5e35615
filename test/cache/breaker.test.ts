import { expect, it } from "vitest";
import { Breaker } from "../../src/cache/breaker.ts";

function newBreaker() {
	const time = { now: 0 };
	return { time, breaker: new Breaker(() => time.now, { pauseMs: 100, pauseMsMax: 400 }) };
}

it("lets everyone through while calls go well", () => {
	const { breaker } = newBreaker();
	breaker.succeeded();
	expect([breaker.allows(), breaker.allows()]).toEqual([true, true]);
});

it("lets nobody through for a while after a failure, and then one alone", () => {
	const { time, breaker } = newBreaker();
	breaker.failed();
	time.now = 99;
	expect(breaker.allows()).toBe(false);
	time.now = 100;
	expect([breaker.allows(), breaker.allows()]).toEqual([true, false]);
	breaker.succeeded();
	expect([breaker.allows(), breaker.allows()]).toEqual([true, true]);
});

it("waits twice as long after each failure more, up to a bound", () => {
	const { time, breaker } = newBreaker();
	const waits: number[] = [];
	for (let trial = 0; trial < 5; trial++) {
		breaker.failed(); // of the trial that was let through
		const from = time.now;
		while (!breaker.allows()) time.now++;
		waits.push(time.now - from);
	}
	expect(waits).toEqual([100, 200, 400, 400, 400]);
});

it("takes calls that fail together for one failure", () => {
	const { time, breaker } = newBreaker();
	for (let i = 0; i < 6; i++) breaker.failed();
	time.now = 100;
	expect(breaker.allows()).toBe(true);
});

it("tries again when a trial was never told of", () => {
	const { time, breaker } = newBreaker();
	breaker.failed();
	time.now = 100;
	expect(breaker.allows()).toBe(true);
	time.now = 200;
	expect(breaker.allows()).toBe(true);
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { type Within, within, withinOneTimer } from "../../src/lib/within.ts";

// Alone: timers are counted here, and an object that another file left at work may set some in an isolate shared with it.
beforeEach(() => {
	vi.useFakeTimers();
});

afterEach(() => {
	vi.useRealTimers();
});

const never = () => new Promise<string>(() => {});
const late = () => "late";

/** What a wait has come to, looked at without waiting for it. */
function watch(waiting: Promise<string>) {
	const seen: { value: string | null } = { value: null };
	void waiting.then((value) => {
		seen.value = value;
	});
	return seen;
}

const ringMs = 1_000;

describe.each<[string, () => Within]>([
	["within", () => within],
	["withinOneTimer", () => withinOneTimer(systemClock, ringMs)],
])("%s", (_, make) => {
	it("answers what the call does, where that is in time", async () => {
		const wait = make();
		expect(await wait(Promise.resolve("in time"), 100, late)).toBe("in time");
	});

	it("rejects as the call does", async () => {
		const wait = make();
		await expect(wait(Promise.reject(new Error("gone")), 100, late)).rejects.toThrow("gone");
	});

	it.each([1, 100, ringMs, 2.5 * ringMs])("is over after %d ms, and not before", async (ms) => {
		const seen = watch(make()(never(), ms, late));
		await vi.advanceTimersByTimeAsync(ms - 1);
		expect(seen.value).toBeNull();
		await vi.advanceTimersByTimeAsync(1);
		expect(seen.value).toBe("late");
	});

	it("rejects where being late is a failure", async () => {
		const fail = () => {
			throw new Error("too late");
		};
		const waiting = expect(make()(never(), 100, fail)).rejects.toThrow("too late");
		await vi.advanceTimersByTimeAsync(100);
		await waiting;
	});

	it("holds calls beside each other to their own times", async () => {
		const wait = make();
		const [long, short] = [watch(wait(never(), 300, late)), watch(wait(never(), 100, late))];
		await vi.advanceTimersByTimeAsync(100);
		expect([long.value, short.value]).toEqual([null, "late"]);
		await vi.advanceTimersByTimeAsync(200);
		expect(long.value).toBe("late");
	});
});

describe("one timer for waits that follow each other", () => {
	it("is set once", async () => {
		const wait = withinOneTimer(systemClock, ringMs);
		for (const ms of [15_000, ringMs, 5_000]) await wait(Promise.resolve("in time"), ms, late);
		expect(vi.getTimerCount()).toBe(1);
	});

	it("holds each of them to its own time, from when that began", async () => {
		const wait = withinOneTimer(systemClock, ringMs);
		await wait(Promise.resolve("in time"), 15 * ringMs, late);
		await vi.advanceTimersByTimeAsync(ringMs - 10); // it rings in the middle of the next wait
		const seen = watch(wait(never(), ringMs, late));
		await vi.advanceTimersByTimeAsync(ringMs - 1);
		expect(seen.value).toBeNull();
		await vi.advanceTimersByTimeAsync(1);
		expect(seen.value).toBe("late");
	});

	it("is set anew for one that is to end before it rings", async () => {
		const wait = withinOneTimer(systemClock, ringMs);
		await wait(Promise.resolve("in time"), ringMs, late);
		const seen = watch(wait(never(), 10, late));
		await vi.advanceTimersByTimeAsync(10);
		expect(seen.value).toBe("late");
	});

	it("is always there while something is waited for, and gone when it rang for nothing", async () => {
		const wait = withinOneTimer(systemClock, ringMs);
		const seen = watch(wait(never(), 3.5 * ringMs, late));
		for (let rings = 0; rings < 4; rings++) {
			expect([vi.getTimerCount(), seen.value]).toEqual([1, null]);
			await vi.advanceTimersByTimeAsync(ringMs);
		}
		expect([vi.getTimerCount(), seen.value]).toEqual([0, "late"]);
		await wait(Promise.resolve("in time"), ringMs, late);
		await vi.advanceTimersByTimeAsync(ringMs);
		expect(vi.getTimerCount()).toBe(0);
	});

	it.each([
		["stands still", () => 0],
		["is set back by an hour, and by another one each time", hourEachTime(-1)],
		["is set forward by an hour, and by another one each time", hourEachTime(1)],
	])("is off by one ring at the most where the clock %s", async (_, clock) => {
		const wait = withinOneTimer(clock, ringMs);
		await wait(Promise.resolve("in time"), ringMs, late);
		await vi.advanceTimersByTimeAsync(ringMs / 2);
		const seen = watch(wait(never(), 3 * ringMs, late));
		await vi.advanceTimersByTimeAsync(2 * ringMs - 1);
		expect(seen.value).toBeNull();
		await vi.advanceTimersByTimeAsync(2 * ringMs + 1);
		expect(seen.value).toBe("late");
	});
});

/** A clock that nobody can trust. */
function hourEachTime(hours: number) {
	let now = 1e12;
	return () => {
		now += hours * 3_600_000;
		return now;
	};
}

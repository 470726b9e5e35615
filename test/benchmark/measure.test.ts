import { describe, expect, it } from "vitest";
import type { MeasuredRoute, Part } from "../../src/benchmark/figures.ts";
import { measure, type Subject } from "../../src/benchmark/measure.ts";
import * as limits from "../../src/limits.ts";

/** Milliseconds of the nth call from 0: of one request, or question. */
type Cost = (call: number) => number;

interface Planted {
	readonly routes?: Partial<Record<MeasuredRoute, Cost>>;
	readonly parts?: Partial<Record<Part, Cost>>;
	readonly prepare?: () => Promise<void>;
}

/** A service whose time is told, on a clock that moves by nothing else. */
function planted({ routes = {}, parts = {}, prepare = async () => {} }: Planted) {
	let now = 1_000_000;
	const calls = new Map<string, number>();
	const spend = (name: string, cost: Cost | undefined, count: number) => {
		const call = calls.get(name) ?? 0;
		calls.set(name, call + 1);
		now += (cost?.(call) ?? 1) * count;
	};
	const ask = (part: Part) => async () => spend(part, parts[part], 1);
	const subject: Subject = {
		prepare,
		async request(route, count, atOnce) {
			spend(atOnce === 1 ? route : "burst", routes[route], count / atOnce);
		},
		ask: { postgres: ask("postgres"), redis: ask("redis"), durableObject: ask("durableObject") },
		heldBytes: async () => 3 * 2 ** 20,
	};
	const begun = now;
	return { subject, clock: () => now, calls, elapsed: () => now - begun };
}

const fails = () => {
	throw new Error("refused");
};

describe("a measurement", () => {
	it("has the time of one request or question, and the requests a second of a burst", async () => {
		const { subject, clock } = planted({
			routes: { sign: () => 7, verify: () => 0.5, getKey: () => 3, getJwks: () => 0.2 },
			parts: { postgres: () => 2, redis: () => 1.5, durableObject: () => 4 },
		});
		const { figures, unreachable } = await measure(subject, clock);
		expect(unreachable).toEqual([]);
		expect(figures).toEqual({
			responseMs: { sign: 7, verify: 0.5, getKey: 3, getJwks: 0.2 },
			partsMs: { postgres: 2, redis: 1.5, durableObject: 4 },
			throughputRps: (1000 * limits.benchmarkBurstAtOnce) / 0.5,
			memoryMb: 3,
		});
	});

	it("takes the median, so that one slow call is not told as all of them", async () => {
		const { subject, clock } = planted({ routes: { sign: (call) => (call === 2 ? 500 : 5) } });
		expect((await measure(subject, clock)).figures.responseMs.sign).toBe(5);
	});

	it("names what does not answer, and measures the rest", async () => {
		const { subject, clock } = planted({ parts: { redis: fails }, routes: { getKey: fails } });
		const { figures, unreachable } = await measure(subject, clock);
		expect(unreachable).toEqual(["partsMs.redis", "responseMs.getKey"]);
		expect(figures.partsMs).toEqual({ postgres: 1, redis: null, durableObject: 1 });
		expect(figures.responseMs.getKey).toBeNull();
		expect(figures.responseMs.sign).toBe(1);
	});

	it("asks once more where one call failed, and not a third time", async () => {
		let calls = 0;
		const failing = (times: number) => () => {
			if (++calls <= times) throw new Error("refused");
			return 3;
		};
		const once = planted({ parts: { redis: failing(1) } });
		expect((await measure(once.subject, once.clock)).figures.partsMs.redis).toBe(3);
		calls = 0;
		const twice = planted({ parts: { redis: failing(2) } });
		expect((await measure(twice.subject, twice.clock)).unreachable).toEqual(["partsMs.redis"]);
		expect(calls).toBe(2);
	});

	it("measures the parts also where no request could be made ready", async () => {
		const { subject, clock } = planted({ prepare: () => Promise.reject(new Error("no key")) });
		expect((await measure(subject, clock)).figures.partsMs.postgres).toBe(1);
	});

	it("takes fewer rounds of what is slow, and begins nothing when its time is over", async () => {
		const slow = () => 1_500;
		const { subject, clock, calls, elapsed } = planted({
			routes: { sign: slow, verify: slow, getKey: slow, getJwks: slow },
		});
		const { figures, unreachable } = await measure(subject, clock);
		expect(calls.get("sign")).toBe(1);
		expect(figures.responseMs.sign).toBe(1_500);
		expect(figures.responseMs.getKey).toBeNull();
		expect(figures.throughputRps).toBeNull();
		expect(unreachable).toEqual([]);
		expect(elapsed()).toBeLessThan(limits.benchmarkRunMs + 1_500 * limits.benchmarkCheapRequests);
	});

	it("calls the worker less often than one request may call workers", async () => {
		const { subject, clock, calls } = planted({});
		await measure(subject, clock);
		const routes = ["sign", "verify", "getKey", "getJwks", "burst"] as const;
		const made = routes.reduce((sum, name) => sum + (calls.get(name) ?? 0), 0);
		// Up to 4 for the first signature of all, and 1 for the memory.
		expect(made + 4 + 1).toBeLessThan(32);
	});
});

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createPace } from "../../src/lib/pace.ts";

const bounds = { each: 10, restRequests: 4, restMs: 50, lookMs: 2, looksMax: 3 };
let timers: ReturnType<typeof vi.spyOn<typeof globalThis, "setTimeout">>;
const rests = () => timers.mock.calls.map(([, milliseconds]) => milliseconds);

beforeEach(() => {
	timers = vi.spyOn(globalThis, "setTimeout");
});
afterEach(() => timers.mockRestore());

it("rests for as long as others need to begin so much, and only gives way when it is alone", async () => {
	let now = 1_000;
	const others = { begun: 5, inFlight: 0 };
	const pace = createPace(bounds, () => now, others);
	await pace(9);
	expect(rests()).toEqual([]);
	await pace(1);
	expect(rests()).toEqual([0]);
	others.begun += 2;
	now += 10; // four in 20 ms
	await pace(25);
	expect(rests()).toEqual([0, 50]);
	now += 10;
	await pace(10);
	expect(rests()).toEqual([0, 50, 0]);
	others.begun += 1;
	now += 1_000; // one a second
	await pace(10);
	expect(rests()).toEqual([0, 50, 0, 50]);
});

it("goes on between the requests of others, and does not wait for ever for that", async () => {
	let looks = 0;
	const others = {
		begun: 1,
		get inFlight() {
			return looks++ < 2 ? 1 : 0;
		},
	};
	const pace = createPace(bounds, () => 0, others);
	await pace(10);
	expect(rests()).toEqual([0, 2, 2]);
	looks = Number.NEGATIVE_INFINITY;
	await pace(10);
	expect(rests().slice(3)).toEqual([0, 2, 2, 2]);
});

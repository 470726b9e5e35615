import { expect, it, vi } from "vitest";
import { createPace } from "../../src/lib/pace.ts";

it("rests for as long as others need to begin so much, and only gives way when it is alone", async () => {
	let [begun, now] = [5, 1_000];
	const bounds = { each: 10, restRequests: 4, restMs: 50 };
	const pace = createPace(
		bounds,
		() => now,
		() => begun,
	);
	const timers = vi.spyOn(globalThis, "setTimeout");
	const rests = () => timers.mock.calls.map(([, milliseconds]) => milliseconds);
	await pace(9);
	expect(rests()).toEqual([]);
	await pace(1);
	expect(rests()).toEqual([0]);
	begun += 2;
	now += 10; // 200 a second
	await pace(25);
	expect(rests()).toEqual([0, 20]);
	now += 10;
	await pace(10);
	expect(rests()).toEqual([0, 20, 0]);
	begun += 1;
	now += 1_000; // one a second
	await pace(10);
	expect(rests()).toEqual([0, 20, 0, 50]);
	timers.mockRestore();
});

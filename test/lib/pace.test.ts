import { expect, it, vi } from "vitest";
import { createPace } from "../../src/lib/pace.ts";

it("rests beside others, and only gives way when it is alone", async () => {
	let begun = 5;
	const pace = createPace(10, 7, () => begun);
	const timers = vi.spyOn(globalThis, "setTimeout");
	const rests = () => timers.mock.calls.map(([, milliseconds]) => milliseconds);
	await pace(9);
	expect(rests()).toEqual([]);
	await pace(1);
	expect(rests()).toEqual([0]);
	begun++;
	await pace(25);
	expect(rests()).toEqual([0, 7]);
	await pace(10);
	expect(rests()).toEqual([0, 7, 0]);
	timers.mockRestore();
});

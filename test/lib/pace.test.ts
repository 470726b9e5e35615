import { expect, it } from "vitest";
import { createPace, createRest } from "../../src/lib/pace.ts";

const each = 10;
const bounds = { restRequests: 4, restMs: 50, lookMs: 2, looksMax: 3 };

/** The pauses that a pace has made. */
function newRests() {
	const made: number[] = [];
	return { made, rest: async (milliseconds: number) => void made.push(milliseconds) };
}

it("rests for as long as others need to begin so much, and only gives way when it is alone", async () => {
	let now = 1_000;
	const others = { begun: 5, inFlight: 0 };
	const { made, rest } = newRests();
	const pace = createPace(
		each,
		createRest(bounds, () => now, others, rest),
	);
	await pace(9);
	expect(made).toEqual([]);
	await pace(1);
	expect(made).toEqual([0]);
	others.begun += 2;
	now += 10; // four in 20 ms
	await pace(25);
	expect(made).toEqual([0, 50]);
	now += 10;
	await pace(10);
	expect(made).toEqual([0, 50, 0]);
	others.begun += 1;
	now += 1_000; // one a second
	await pace(10);
	expect(made).toEqual([0, 50, 0, 50]);
});

it("goes on between the requests of others, and does not wait for ever for that", async () => {
	let looks = 0;
	const others = {
		begun: 1,
		get inFlight() {
			return looks++ < 2 ? 1 : 0;
		},
	};
	const { made, rest } = newRests();
	const pace = createPace(
		each,
		createRest(bounds, () => 0, others, rest),
	);
	await pace(10);
	expect(made).toEqual([0, 2, 2]);
	looks = Number.NEGATIVE_INFINITY;
	await pace(10);
	expect(made.slice(3)).toEqual([0, 2, 2, 2]);
});

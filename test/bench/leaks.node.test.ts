import { expect, test } from "vitest";
import { onFreshGround } from "../../bench/ground.ts";
import { findLeaks } from "../../bench/leaks.ts";
import type { Plan } from "../../bench/plan.ts";
import type { WatchedKinds } from "../../bench/worker/leaks/messages.ts";

const plan: Plan = {
	seconds: { micro: 1, http: 1 },
	keys: 1,
	rows: 1,
	requests: null,
	wants: () => true,
	progress: () => {},
	done: () => {},
	signal: new AbortController().signal,
};

test("a planted leak is found, and nothing else is one", { timeout: 240_000 }, async () => {
	let found: WatchedKinds | undefined;
	await onFreshGround(async (ground) => {
		({ found } = await findLeaks(plan, ground, "body"));
	});
	const { body, ...others } = found ?? {};
	expect(body?.made).toBeGreaterThan(0);
	expect(body).toMatchObject({ alive: body?.made, told: 0, most: 0 });
	for (const [kind, { made, alive, most }] of Object.entries(others)) {
		expect(made, kind).toBeGreaterThan(0);
		expect(alive, kind).toBeLessThanOrEqual(most);
	}
});

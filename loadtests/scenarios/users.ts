import type { Scenario } from "../scenario.ts";
import { everyday, prepareEveryday } from "../traffic.ts";

/** The longest pause is below the 5 s after which servers close a connection. */
const thinkMs = 3_000;
const rampSeconds = 5;

export const users: Scenario = {
	name: "users",
	summary: "1,000 users at once, each with a connection of their own, who think between requests",
	sizes: { rate: 0, seconds: 60, users: 1_000 },
	thresholds: ["p95<50ms", "errors<0.1%"],
	phases: ["users"],
	prepare: prepareEveryday,
	async run({ load, sizes: { users, seconds } }) {
		const mix = everyday;
		await load([
			{
				name: "coming",
				seconds: rampSeconds,
				loads: [{ users, thinkMs, rampMs: rampSeconds * 1000, mix }],
				measured: false,
			},
			{ name: "users", seconds, loads: [{ users, thinkMs, mix }] },
		]);
	},
};

import type { Scenario } from "../scenario.ts";
import { everyday, prepareEveryday } from "../traffic.ts";

const warmUpSeconds = 3;

export const steady: Scenario = {
	name: "steady",
	summary: "everyday traffic at one rate",
	sizes: { rate: 500, seconds: 60, users: 0 },
	thresholds: ["p95<50ms", "errors<0.1%", "dropped<0.1%"],
	prepare: prepareEveryday,
	async run({ load, sizes: { rate, seconds } }) {
		await load([
			{
				name: "warm-up",
				seconds: warmUpSeconds,
				loads: [{ rate: rate / 2, rateTo: rate, mix: everyday }],
				measured: false,
			},
			{ name: "steady", seconds, loads: [{ rate, mix: everyday }] },
		]);
	},
};

import type { Scenario } from "../scenario.ts";
import { everyday, prepareEveryday } from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

export const steady: Scenario = {
	name: "steady",
	summary: "everyday traffic at one rate",
	sizes: { rate: 300, seconds: 60, users: 0 },
	thresholds: ["p95<50ms", "errors<0.1%", "dropped<0.1%"],
	phases: ["steady"],
	prepare: prepareEveryday,
	async run({ load, sizes: { rate, seconds } }) {
		await load([
			warmUp(rate, everyday),
			{ name: "steady", seconds, loads: [{ rate, mix: everyday }] },
		]);
	},
};

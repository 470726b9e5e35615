import { timeUntilBack } from "../recovery-time.ts";
import type { Scenario } from "../scenario.ts";
import { everyday, prepareEveryday } from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

const times = 5;

export const spike: Scenario = {
	name: "spike",
	summary: `everyday traffic, ${times} times as much of it all at once, and back`,
	sizes: { rate: 150, seconds: 20, users: 0 },
	figures: { settled: "time" },
	thresholds: [
		"p95<50ms @before",
		"errors<1% @spike",
		"dropped<0.1%",
		"errors<0.1% @after",
		"settled<10s",
	],
	phases: ["before", "spike", "after"],
	prepare: prepareEveryday,
	async run(running) {
		const { load, figure, sizes } = running;
		const { rate, seconds } = sizes;
		const loads = (rate: number) => [{ rate, mix: everyday }];
		const [, before, , after] = await load([
			warmUp(rate, everyday),
			{ name: "before", seconds, loads: loads(rate) },
			{ name: "spike", seconds, loads: loads(rate * times) },
			{ name: "after", seconds, loads: loads(rate) },
		]);
		if (!before || !after) return;
		figure({
			name: "settled",
			value: timeUntilBack(running, before, after),
			dimension: "time",
			text: "from the end of the spike until p95 is within 10 % of before",
		});
	},
};

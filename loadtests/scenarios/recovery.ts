import { type Fault, faultNames, faultsOf } from "../faults.ts";
import { timeUntilBack } from "../recovery-time.ts";
import type { Phase, Running, Scenario } from "../scenario.ts";
import { everyday, prepareEveryday } from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

/** Of the time that a dependency is away, to that in which the service may recover. */
const awayShare = 0.25;

export const recovery: Scenario = {
	name: "recovery",
	summary: "Postgres and Redis are taken away and given back: how long until all is as before?",
	sizes: { rate: 150, seconds: 20, users: 0 },
	figures: { recovery: "time" },
	thresholds: ["p95<50ms @before", "errors<0.1% @before", "recovery<10s"],
	phases: ["before", ...faultNames.flatMap((name) => [`${name}-away`, `${name}-back`])],
	needsStack: true,
	prepare: prepareEveryday,
	async run(running) {
		const { rate, seconds } = running.sizes;
		const loads = [{ rate, mix: everyday }];
		const faults = await faultsOf(running.target);
		const taken = new Set<string>();
		const given = new Map<string, Promise<number>>();
		const phases = faults.flatMap(({ name, take, giveBack }): Phase[] => [
			{
				...{ name: `${name}-away`, seconds: seconds * awayShare, loads },
				onBegin() {
					running.mark(`${name}: away`);
					taken.add(name);
					take();
				},
			},
			{
				...{ name: `${name}-back`, seconds, loads },
				onBegin() {
					// Until it is up again it is not given back.
					const back = giveBack().then(() => running.now());
					back.then(
						() => running.mark(`${name}: back`),
						() => {}, // told below
					);
					given.set(name, back);
				},
			},
		]);
		const before: Phase = { name: "before", seconds, loads };
		const outcomes = await running
			.load([warmUp(rate, everyday), before, ...phases])
			.finally(() => restore(faults, taken, given));
		const times = await Promise.all(
			faults.map(async ({ name }) => {
				const [usual, back] = ["before", `${name}-back`].map((wanted) =>
					outcomes.find((outcome) => outcome.name === wanted),
				);
				const from = await given.get(name);
				if (!usual || !back || from === undefined) return { name, time: Number.NaN };
				return { name, time: timeUntilBack(running, usual, { from, to: back.to }) };
			}),
		);
		tell(running, times);
	},
};

/** A run that ends early leaves nothing away. */
async function restore(
	faults: readonly Fault[],
	taken: ReadonlySet<string>,
	given: ReadonlyMap<string, unknown>,
): Promise<void> {
	for (const { name, giveBack } of faults) {
		if (taken.has(name) && !given.has(name)) await giveBack();
	}
}

/** The longest of all decides; one that never came is the longest. */
function tell(
	{ figure }: Running,
	times: readonly { readonly name: string; readonly time: number }[],
): void {
	const shown = times.map(({ name, time }) =>
		Number.isNaN(time) ? `${name}: never` : `${name}: ${(time / 1000).toFixed(2)} s`,
	);
	figure({
		name: "recovery",
		value: Math.max(...times.map(({ time }) => time)),
		dimension: "time",
		text: `from the return until p95 is within 10 % of before; ${shown.join(", ")}`,
	});
}

import { limits } from "../limits.ts";
import type { PhaseOutcome, Running, Scenario } from "../scenario.ts";
import { everyday, prepareEveryday } from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

const factor = 1.25;
/** Steps between the last rate that held and the first that did not. */
const refinements = 2;
const restSeconds = 3;

export const stress: Scenario = {
	name: "stress",
	summary: "goes up until a threshold breaks, and reports the rate that held",
	sizes: { rate: 100, seconds: 10, users: 0 },
	figures: { knee: "rate" },
	thresholds: ["p95<50ms", "errors<0.1%", "dropped<0.1%", "knee>=100/s"],
	phases: [], // its steps are found as it goes
	climbs: true,
	prepare: prepareEveryday,
	async run(running) {
		const { load, sizes, figure } = running;
		await load([warmUp(sizes.rate, everyday)]);
		const { held, broke } = await climb(running);
		const knee = held && broke ? await refine(running, held, broke) : held;
		const times = knee?.summary.latency;
		figure({
			name: "knee",
			value: knee?.summary.rate ?? Number.NaN,
			dimension: "rate",
			text: times
				? `right answers per second of the highest rate that held; p50 ${times.p50.toFixed(1)} ms, p95 ${times.p95.toFixed(1)} ms`
				: "no rate held",
		});
	},
};

interface Climb {
	readonly held: Step | null;
	readonly broke: Step | null;
}

type Step = PhaseOutcome & { readonly offered: number };

async function climb(running: Running): Promise<Climb> {
	let held: Step | null = null;
	let rate = running.sizes.rate;
	for (let step = 0; step < limits.stepsMax; step++) {
		const outcome = await tryRate(running, rate);
		if (!outcome.holds) return { held, broke: outcome };
		held = outcome;
		rate *= factor;
	}
	return { held, broke: null };
}

async function refine(running: Running, held: Step, broke: Step): Promise<Step> {
	let [low, high] = [held, broke.offered];
	for (let round = 0; round < refinements; round++) {
		const outcome = await tryRate(running, Math.sqrt(low.offered * high));
		if (outcome.holds) low = outcome;
		else high = outcome.offered;
	}
	return low;
}

/** One that breaks is tried once more: a pause of the machine is no knee. */
async function tryRate(running: Running, rate: number): Promise<Step> {
	const first = await tryOnce(running, rate);
	return first.holds ? first : tryOnce(running, rate);
}

async function tryOnce({ load, sizes }: Running, rate: number): Promise<Step> {
	const name = `${Math.round(rate)}/s`;
	const [step] = await load([{ name, seconds: sizes.seconds, loads: [{ rate, mix: everyday }] }]);
	if (!step) throw new Error("a phase without an outcome");
	// What a broken step left behind is not the next one's.
	if (!step.holds) await load([rest(sizes.rate)]);
	return { ...step, offered: rate };
}

function rest(rate: number) {
	const loads = [{ rate: rate / 10, mix: everyday }];
	return { name: "rest", seconds: restSeconds, loads, measured: false };
}

import { differenceFigure, pairedFigure, timeFigure } from "./figures.ts";
import { ask, rateIn, runMicroRounds } from "./micro-rounds.ts";
import { allSizes, nameOf, type Size, type Wanted, wantedSubjects } from "./micro-subjects.ts";
import type { Plan } from "./plan.ts";
import type { Rates } from "./verdict.ts";
import type { GenerateAnswer, Subject } from "./worker/micro/messages.ts";
import {
	type BenchWorker,
	benchConfig,
	buildWorker,
	type Ground,
	launchWorker,
} from "./workers.ts";

const roundSeconds = 0.3;
/** Fewer can not give an interval of 95 %. */
const roundsMin = 6;
const bareMs = 1_000;
const leastRatio = 0.9;
const limiterBelowUs = 20;
const generateBelowMs = 100;
/** A key that takes seconds is made a few times only. */
const generateSecondsMax = 20;

/** Signing and verifying beside the bare library, then the making of keys: all of it inside workerd. */
export async function runMicro(plan: Plan, ground: Ground): Promise<void> {
	const wanted = await wantedSubjects(plan);
	const makes = allSizes().filter((make) => plan.wants(generateId(make)));
	if (wanted.length + makes.length === 0) return;
	plan.progress("bundling the worker of the micro benchmarks");
	const built = await buildWorker(ground, "micro", benchConfig("micro"));
	if (wanted.length > 0) {
		const service = { built, turn: "service" } as const;
		const bare = { built: { ...built, name: "micro-bare" }, turn: "bare" } as const;
		const rounds = Math.max(roundsMin, Math.round(plan.seconds.micro / roundSeconds));
		const rates = await runMicroRounds(plan, ground, wanted, [service, bare], rounds);
		for (const rate of rates) tell(plan, rate, wanted.find(({ id }) => id === rate.id)?.subject);
	}
	if (makes.length === 0) return;
	const worker = await launchWorker(ground, built);
	for (const make of makes) await generate(plan, worker, make);
}

function tell(
	plan: Plan,
	{ id, unit, values, besides }: Rates,
	subject: Wanted["subject"] | undefined,
): void {
	if (subject === "limiter") {
		const toUs = (rates: readonly number[]) => rates.map((rate) => 1e6 / rate);
		const beside = { name: "without limits", values: toUs(besides) };
		plan.done(differenceFigure({ id, unit: "µs" }, toUs(values), beside, limiterBelowUs));
	} else {
		plan.done(
			pairedFigure({ id, unit }, values, { name: "bare library", values: besides }, leastRatio),
		);
	}
}

function generateId(size: Size): string {
	return `generate/${nameOf(size)}`;
}

/** Operations per second of the bare library alone. */
export function bareRate(plan: Plan, worker: BenchWorker, subject: Subject): Promise<number> {
	return rateIn(plan, worker, { subject, blockMs: bareMs, turns: ["bare"] });
}

async function generate(plan: Plan, worker: BenchWorker, size: Size): Promise<void> {
	const id = generateId(size);
	const times: number[] = [];
	const end = performance.now() + generateSecondsMax * 1000;
	await ask<GenerateAnswer>(plan, worker, "/generate", size); // loads the library
	while (times.length < plan.keys && performance.now() < end) {
		plan.progress(`${id}: ${times.length} of ${plan.keys} keys`);
		const made = await ask<GenerateAnswer>(plan, worker, "/generate", size);
		times.push(made.milliseconds);
	}
	plan.done(timeFigure({ id }, times, ["p50", "p95"], generateBelowMs));
}

import { join } from "node:path";
import { differenceFigure } from "./figures.ts";
import { type Measured, remarksOn } from "./generator.ts";
import type { Plan } from "./plan.ts";
import { type HttpBench, sampleMessage } from "./service.ts";
import type { BenchWorker } from "./workers.ts";

const connections = 32;
const blockMs = 750; // short ones: there are more pairs, and each is nearer to its other half
const warmUpMs = 250;
const firstWarmUpMs = 2_000;
const roundsMin = 6; // fewer can not give an interval of 95 %
const belowUs = 20;
const latencyRounds = 12;
const steadyRate = 1_000;
const steadyMs = 10_000;
const key = "bench-limiter";

const standIn = (name: string) => join(import.meta.dirname, "worker", name, "index.ts");
/** Neither side keeps records: writing them varies by more than the limiter costs. */
const unaudited = { "./audited.ts": standIn("unaudited") };
/** What decides on limits, as the service's files import it, and what stands for it. */
const unlimited = { ...unaudited, "./admission.ts": standIn("unlimited") };
const counted = { main: join(import.meta.dirname, "worker", "counted", "index.ts") };

/** What the limits cost a warm Ed25519 signature: the same service with them and without, in turn. */
export async function measureLimiter(plan: Plan, bench: HttpBench): Promise<void> {
	const { service, startVariant } = bench;
	await service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	const request = service.prepare(`/v1/keys/${key}/sign`, { message: sampleMessage });
	plan.progress("bundling the service without its limiter");
	const sides = {
		with: await startVariant("unaudited", { alias: unaudited }),
		without: await startVariant("unlimited", { alias: unlimited }),
	};
	if (!(await tellsLimits(sides.with)) || (await tellsLimits(sides.without))) {
		throw new Error("the limiter was not taken out: is admission.ts imported by another name?");
	}
	await measureCpu(plan, bench, sides, request);
	await measureLatency(plan, bench, sides, request);
	await measureCalls(plan, bench, await startVariant("counted", counted), request);
}

/** A request without a token is refused, and counted by its address. */
async function tellsLimits({ url }: BenchWorker): Promise<boolean> {
	const response = await fetch(`${url}/v1/keys`);
	await response.body?.cancel();
	return response.headers.has("RateLimit");
}

type Sides = Readonly<Record<"with" | "without", BenchWorker>>;
type Job = Parameters<HttpBench["generator"]["run"]>[1];

/** Of the server's processor time for each request, as many requests as it takes. */
async function measureCpu(
	plan: Plan,
	bench: HttpBench,
	sides: Sides,
	request: string,
): Promise<void> {
	const id = "limiter/cpu";
	const rounds = Math.max(roundsMin, Math.round((plan.seconds.http * 1000) / 2 / blockMs));
	const job = { request, connections, measureMs: blockMs, rate: null };
	for (const worker of Object.values(sides)) {
		await bench.generator.run(worker, { ...job, warmUpMs: firstWarmUpMs });
	}
	const outcomes = await inTurn(plan, bench, sides, id, rounds, { ...job, warmUpMs });
	const [values = [], besides = []] = [outcomes.with, outcomes.without].map((side) =>
		side.map(({ serverSecondsEach }) => 1e6 * (serverSecondsEach ?? Number.NaN)),
	);
	if (![...values, ...besides].every(Number.isFinite)) return; // the system does not tell
	const beside = { name: "without limits", values: besides };
	const notes = remarksOn([...outcomes.with, ...outcomes.without]);
	plan.done(differenceFigure({ id, unit: "µs", notes }, values, beside, belowUs));
}

async function measureLatency(
	plan: Plan,
	bench: HttpBench,
	sides: Sides,
	request: string,
): Promise<void> {
	const id = "limiter/latency";
	const job = { request, connections, warmUpMs, measureMs: blockMs, rate: steadyRate };
	const outcomes = await inTurn(plan, bench, sides, id, latencyRounds, job);
	const [values = [], besides = []] = [outcomes.with, outcomes.without].map((side) =>
		side.map(({ latencyMs }) => 1e3 * (latencyMs?.p50 ?? Number.NaN)),
	);
	const beside = { name: "without limits", values: besides };
	const notes = [
		`p50 at ${steadyRate} requests/s, from the scheduled time`,
		...remarksOn([...outcomes.with, ...outcomes.without]),
	];
	plan.done(differenceFigure({ id, unit: "µs", notes }, values, beside));
}

/** The same job on both sides, round by round, each side first in every other one. */
async function inTurn(
	plan: Plan,
	{ generator }: HttpBench,
	sides: Sides,
	id: string,
	rounds: number,
	job: Job,
): Promise<Readonly<Record<keyof Sides, Measured[]>>> {
	const outcomes = { with: [] as Measured[], without: [] as Measured[] };
	for (let round = 0; round < rounds; round++) {
		plan.progress(`${id}: round ${round + 1} of ${rounds}`);
		const order = ["with", "without"] as const;
		for (const side of round % 2 === 0 ? order : order.toReversed()) {
			outcomes[side].push(await generator.run(sides[side], job));
		}
	}
	return outcomes;
}

/** How often the coordinator is asked under a load that stays as it is: counted where it is asked. */
async function measureCalls(
	plan: Plan,
	{ generator }: HttpBench,
	worker: BenchWorker,
	request: string,
): Promise<void> {
	const id = "limiter/calls";
	plan.progress(id);
	const job = { request, connections, warmUpMs: 0, rate: steadyRate };
	await generator.run(worker, { ...job, measureMs: firstWarmUpMs });
	const before = await leasesOf(worker);
	const outcome = await generator.run(worker, { ...job, measureMs: steadyMs });
	const calls = (await leasesOf(worker)) - before;
	plan.done({
		id,
		unit: "calls",
		value: (1000 * calls) / outcome.answeredInAll,
		samples: outcome.answeredInAll,
		notes: [
			`of the coordinator for each 1,000 requests, at ${steadyRate} requests/s: ${calls} for ${outcome.answeredInAll}`,
			...remarksOn([outcome]),
		],
	});
}

async function leasesOf({ url }: BenchWorker): Promise<number> {
	const response = await fetch(`${url}/leases`);
	return ((await response.json()) as { leases: number }).leases;
}

import { type Figure, pairedFigure } from "./figures.ts";
import { type Measured, remarksOn } from "./generator.ts";
import type { Plan } from "./plan.ts";
import { firstWarmUpMs, type HttpBench, prepareRequest, sampleMessage } from "./service.ts";
import { median } from "./stats.ts";
import type { BenchWorker } from "./workers.ts";

const connections = 32;
const blockMs = 1_500;
const warmUpMs = 250;
const roundsMin = 6; // fewer can not give an interval of 95 %
const leastRatio = 0.6;
const latencyBlockMs = 4_000;
const latencyRounds = 3;
const key = "bench-ed25519";

/** A request that is sent again and again, and who answers it. */
interface Target {
	readonly name: "sign" | "empty GET" | "empty POST" | "signed by hand";
	readonly worker: BenchWorker;
	readonly request: string;
}

/** A warm Ed25519 signature beside routes that do nothing: requests/s, then latency at half of that. */
export async function measureSign(plan: Plan, bench: HttpBench): Promise<void> {
	const { service, empty } = bench;
	await service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	const body = { message: sampleMessage };
	const targets = {
		sign: {
			name: "sign",
			worker: service.worker,
			request: service.prepare(`/v1/keys/${key}/sign`, body),
		},
		get: { name: "empty GET", worker: empty, request: prepareRequest("GET", "/") },
		post: { name: "empty POST", worker: empty, request: prepareRequest("POST", "/", body) },
		byHand: {
			name: "signed by hand",
			worker: empty,
			request: prepareRequest("POST", "/sign", body),
		},
	} as const satisfies Record<string, Target>;
	const capacity = await measureThroughput(plan, bench, targets);
	const rate = Math.round(capacity / 2);
	for (const target of [targets.sign, targets.get]) {
		plan.done(await measureLatency(plan, bench, target, rate));
	}
}

/** Answers the requests per second that the service signed. */
async function measureThroughput(
	plan: Plan,
	{ generator }: HttpBench,
	{ sign, get, post, byHand }: Readonly<Record<"sign" | "get" | "post" | "byHand", Target>>,
): Promise<number> {
	const targets = [sign, get, post, byHand];
	const rounds = Math.max(
		roundsMin,
		Math.round((plan.seconds.http * 1000) / targets.length / blockMs),
	);
	const outcomes = new Map(targets.map((target) => [target, [] as Measured[]]));
	for (const { worker, request } of targets) {
		const job = { request, connections, warmUpMs: firstWarmUpMs, measureMs: blockMs, rate: null };
		await generator.run(worker, job);
	}
	for (let round = 0; round < rounds; round++) {
		plan.progress(`http/sign: round ${round + 1} of ${rounds}`);
		for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
			const { worker, request } = target;
			const job = { request, connections, warmUpMs, measureMs: blockMs, rate: null };
			outcomes.get(target)?.push(await generator.run(worker, job));
		}
	}
	const of = (target: Target, value: (outcome: Measured) => number) =>
		(outcomes.get(target) ?? []).map(value);
	const notes = targets.flatMap((target) => limitOf(target, outcomes.get(target) ?? []));
	const compare = (id: string, beside: Target, unit: Unit, goal?: number, measured = sign) => {
		const value = rateIn[unit];
		const values = of(beside, value);
		if (!values.every(Number.isFinite)) return; // the system does not tell
		const line = goal === undefined ? { id, unit } : { id, unit, notes };
		plan.done(pairedFigure(line, of(measured, value), { name: beside.name, values }, goal));
	};
	compare("http/sign", get, "requests/s", leastRatio);
	compare("http/sign/post", post, "requests/s");
	compare("http/sign/by-hand", byHand, "requests/s");
	compare("http/ceiling", get, "requests/s", undefined, byHand);
	compare("http/sign/cpu", get, "requests/CPU s");
	compare("http/sign/post/cpu", post, "requests/CPU s");
	return median(of(sign, rateIn["requests/s"]));
}

type Unit = "requests/s" | "requests/CPU s";

const rateIn: Readonly<Record<Unit, (outcome: Measured) => number>> = {
	"requests/s": ({ perSecond }) => perSecond,
	"requests/CPU s": ({ serverSecondsEach }) => 1 / (serverSecondsEach ?? Number.NaN),
};

/** Below this share of a core the thread that runs JavaScript had time left. */
const saturated = 0.85;

function limitOf({ name }: Target, outcomes: readonly Measured[]): string[] {
	const generator = median(outcomes.map(({ cpu }) => cpu));
	const remarks = remarksOn(outcomes).map((remark) => `${name}: ${remark}`);
	const threads = outcomes.flatMap(({ server }) => server?.thread ?? []);
	if (threads.length === 0) return [`${name}: generator ${generator.toFixed(2)} cores`, ...remarks];
	const thread = median(threads);
	const others = median(outcomes.flatMap(({ othersCores }) => othersCores ?? []));
	const shares = `${name}: cores used: server's busiest thread ${thread.toFixed(2)}, generator ${generator.toFixed(2)}, others ${others.toFixed(2)}`;
	if (thread >= saturated) return [shares, ...remarks];
	const limit = generator >= saturated ? "the generator" : "other work on the machine";
	return [`${shares}. WARNING: the server had time left, ${limit} was the limit`, ...remarks];
}

/** Each percentile is the median of those of the rounds: one pause of the machine does not decide. */
async function measureLatency(
	plan: Plan,
	{ generator }: HttpBench,
	{ name, worker, request }: Target,
	rate: number,
): Promise<Figure> {
	const id = `http/${name === "sign" ? "sign" : "empty"}/latency`;
	const outcomes: Measured[] = [];
	for (let round = 0; round < latencyRounds; round++) {
		plan.progress(`${id}: round ${round + 1} of ${latencyRounds}`);
		const job = { request, connections, warmUpMs: 500, measureMs: latencyBlockMs, rate };
		outcomes.push(await generator.run(worker, job));
	}
	const at = (share: "p50" | "p95" | "p99" | "max") =>
		median(outcomes.flatMap(({ latencyMs }) => latencyMs?.[share] ?? []));
	const busy = median(outcomes.map((outcome) => outcome.busy));
	const late = median(outcomes.flatMap(({ lateMs }) => lateMs ?? []));
	return {
		id,
		unit: "ms",
		value: at("p50"),
		samples: outcomes.reduce((sum, { answered }) => sum + answered, 0),
		percentiles: { p50: at("p50"), p95: at("p95"), p99: at("p99"), max: at("max") },
		notes: [
			`${name} at ${rate} requests/s, from the scheduled time; generator busy ${busy.toFixed(2)}, late by ${late.toFixed(2)} ms in its worst 1 %`,
			...remarksOn(outcomes),
		],
	};
}

import { algorithms } from "../src/signing/algorithms.ts";
import type { Algorithm } from "../src/signing/types.ts";
import { differenceFigure, pairedFigure, timeFigure } from "./figures.ts";
import type { Plan } from "./plan.ts";
import type {
	GenerateAnswer,
	GenerateRequest,
	MeasureAnswer,
	MeasureRequest,
	Side,
	Subject,
} from "./worker/micro/messages.ts";
import { type BenchWorker, benchConfig, type Ground, startWorker } from "./workers.ts";

const blockMs = 25;
const bareMs = 1_000;
const groupSeconds = (4 * blockMs) / 1000;
/** Fewer can not give an interval of 95 %. */
const groupsMin = 6;
const leastRatio = 0.9;
export const limiterId = "micro/limiter";
const limiterBelowUs = 20;
const generateBelowMs = 100;
/** A key that takes seconds is made a few times only. */
const generateSecondsMax = 20;

/** Signing and verifying beside the bare library, then the making of keys: all of it inside workerd. */
export async function runMicro(plan: Plan, ground: Ground): Promise<void> {
	const subjects = allSubjects().filter((subject) => plan.wants(idOf(subject)));
	const makes = allSizes().filter((make) => plan.wants(generateId(make)));
	const wantsLimiter = plan.wants(limiterId);
	if (subjects.length + makes.length === 0 && !wantsLimiter) return;
	plan.progress("bundling the worker of the micro benchmarks");
	const worker = await startWorker(ground, "micro", benchConfig("micro"));
	for (const subject of subjects) await measure(plan, worker, subject);
	for (const make of makes) await generate(plan, worker, make);
	if (wantsLimiter) await measureLimiter(plan, worker);
}

type Size = Pick<Subject, "algorithm" | "modulusLength">;

function allSizes(): Size[] {
	return Object.values(algorithms).flatMap(({ name, modulusLengths }): Size[] =>
		modulusLengths
			? modulusLengths.map((modulusLength) => ({ algorithm: name, modulusLength }))
			: [{ algorithm: name }],
	);
}

export function allSubjects(): Subject[] {
	const kinds = ({ digestBytes }: Algorithm) =>
		digestBytes === null ? (["message"] as const) : (["message", "digest"] as const);
	return allSizes().flatMap((size) =>
		kinds(algorithms[size.algorithm]).flatMap((kind) =>
			(["sign", "verify"] as const).map((job): Subject => ({ ...size, kind, job })),
		),
	);
}

function nameOf({ algorithm, modulusLength }: Size): string {
	return modulusLength === undefined ? algorithm : `${algorithm}-${modulusLength}`;
}

export function idOf(subject: Subject): string {
	const kind = subject.kind === "digest" ? "/digest" : "";
	return `micro/${nameOf(subject)}${kind}/${subject.job}`;
}

function generateId(size: Size): string {
	return `generate/${nameOf(size)}`;
}

async function measure(plan: Plan, worker: BenchWorker, subject: Subject): Promise<void> {
	const id = idOf(subject);
	const { service, bare } = await ratesOf(plan, worker, id, subject);
	const line = { id, unit: "operations/s" } as const;
	plan.done(pairedFigure(line, service, { name: "bare library", values: bare }, leastRatio));
}

async function measureLimiter(plan: Plan, worker: BenchWorker): Promise<void> {
	const { service, bare } = await ratesOf(plan, worker, limiterId, "limiter");
	const toUs = (rates: readonly number[]) => rates.map((rate) => 1e6 / rate);
	const beside = { name: "without limits", values: toUs(bare) };
	const line = { id: limiterId, unit: "µs" } as const;
	plan.done(differenceFigure(line, toUs(service), beside, limiterBelowUs));
}

/** Operations per second of both sides, in pairs. */
async function ratesOf(
	plan: Plan,
	worker: BenchWorker,
	id: string,
	subject: MeasureRequest["subject"],
): Promise<Record<Side, number[]>> {
	const groups = Math.max(groupsMin, Math.round(plan.seconds.micro / groupSeconds));
	const service: number[] = [];
	const bare: number[] = [];
	for (let group = 0; group < groups; group++) {
		plan.progress(`${id}: ${group} of ${groups} groups`);
		const order = ["service", "bare", "bare", "service"] as const;
		const turns = order.map((side) => (group % 2 === 0 ? side : other[side]));
		const rates = await ratesIn(plan, worker, { subject, blockMs, turns });
		service.push(rates.service ?? Number.NaN);
		bare.push(rates.bare ?? Number.NaN);
	}
	return { service, bare };
}

/** Operations per second of the bare library alone. */
export async function bareRate(plan: Plan, worker: BenchWorker, subject: Subject): Promise<number> {
	const { bare } = await ratesIn(plan, worker, { subject, blockMs: bareMs, turns: ["bare"] });
	return bare ?? Number.NaN;
}

const other = { service: "bare", bare: "service" } as const;

export function ratesIn(
	plan: Plan,
	worker: BenchWorker,
	request: MeasureRequest,
): Promise<MeasureAnswer> {
	return ask<MeasureAnswer>(plan, worker, "/measure", request);
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

async function ask<Answer>(
	{ signal }: Plan,
	{ url }: BenchWorker,
	path: "/measure" | "/generate",
	body: MeasureRequest | GenerateRequest,
): Promise<Answer> {
	const response = await fetch(`${url}${path}`, {
		method: "POST",
		body: JSON.stringify(body),
		signal,
	});
	if (!response.ok) throw new Error(`${path} of the bench worker answered ${response.status}`);
	return (await response.json()) as Answer;
}

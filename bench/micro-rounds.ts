import type { Wanted } from "./micro-subjects.ts";
import type { Plan } from "./plan.ts";
import type { Rates } from "./verdict.ts";
import type {
	GenerateRequest,
	MeasureAnswer,
	MeasureRequest,
	Side,
} from "./worker/micro/messages.ts";
import { type BenchWorker, type Built, type Ground, launchWorker } from "./workers.ts";

const blockMs = 50;
const turnsEach = 2;

/** One of the two that are compared: a worker, and what of it. */
export interface Entrant {
	readonly built: Built;
	readonly turn: Side;
}

/**
 * Operations per second of both, subject by subject. Each round has a fresh process for each, because one
 * may by luck of its memory and its compiler be faster than the next for as long as it lives.
 */
export async function runMicroRounds(
	plan: Plan,
	ground: Ground,
	wanted: readonly Wanted[],
	entrants: readonly [Entrant, Entrant],
	rounds: number,
): Promise<Rates[]> {
	const rates = wanted.map(() => [[] as number[], [] as number[]] as const);
	for (let round = 0; round < rounds; round++) {
		const order = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
		const workers: BenchWorker[] = [];
		for (const at of order) {
			workers[at] = await launchWorker(ground, entrants[at].built);
		}
		for (const [nth, { id, subject }] of wanted.entries()) {
			plan.progress(`round ${round + 1} of ${rounds}: ${id}`);
			const sums = [0, 0];
			for (const at of [order[0], order[1], order[1], order[0]]) {
				const worker = workers[at] as BenchWorker;
				const request = { subject, blockMs, turns: [entrants[at].turn] };
				sums[at] = (sums[at] ?? 0) + (await rateIn(plan, worker, request));
			}
			for (const at of order) rates[nth]?.[at].push((sums[at] ?? Number.NaN) / turnsEach);
		}
		await Promise.all(workers.map((worker) => worker.stop()));
	}
	return wanted.map(({ id }, at) => ({
		id,
		unit: "operations/s",
		values: rates[at]?.[0] ?? [],
		besides: rates[at]?.[1] ?? [],
	}));
}

/** Operations per second of the side whose turn it is. */
export async function rateIn(
	plan: Plan,
	worker: BenchWorker,
	request: MeasureRequest,
): Promise<number> {
	const rates = await ask<MeasureAnswer>(plan, worker, "/measure", request);
	return rates[request.turns[0] ?? "service"] ?? Number.NaN;
}

export async function ask<Answer>(
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

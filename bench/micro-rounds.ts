import { allSubjects, idOf, limiterId, ratesIn } from "./micro.ts";
import type { Plan } from "./plan.ts";
import type { Rates } from "./verdict.ts";
import type { MeasureRequest } from "./worker/micro/messages.ts";
import { type BenchWorker, type Built, type Ground, launchWorker } from "./workers.ts";

const blockMs = 50;
const turnsEach = 2;

interface Wanted {
	readonly id: string;
	readonly subject: MeasureRequest["subject"];
}

/** Without RSA: it is the runtime's own, and each fresh process would take seconds to make its keys. */
export function wantedSubjects(plan: Plan): Wanted[] {
	const signing = allSubjects()
		.filter(({ modulusLength }) => modulusLength === undefined)
		.map((subject): Wanted => ({ id: idOf(subject), subject }));
	const limiter: Wanted = { id: limiterId, subject: "limiter" };
	return [...signing, limiter].filter(({ id }) => plan.wants(id));
}

/** Operations per second of two builds, subject by subject, in fresh processes in each round. */
export async function runMicroRounds(
	plan: Plan,
	ground: Ground,
	builds: readonly [Built, Built],
	rounds: number,
): Promise<Rates[]> {
	const wanted = wantedSubjects(plan);
	const rates = wanted.map(() => [[] as number[], [] as number[]] as const);
	for (let round = 0; round < rounds; round++) {
		plan.progress(`micro: round ${round + 1} of ${rounds}`);
		const workers = await launchBoth(ground, builds, round % 2 === 1);
		for (const [at, { subject }] of wanted.entries()) {
			const found = await measureBoth(plan, workers, subject, round % 2 === 1);
			rates[at]?.[0].push(found[0]);
			rates[at]?.[1].push(found[1]);
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

async function launchBoth(
	ground: Ground,
	[one, two]: readonly [Built, Built],
	secondFirst: boolean,
): Promise<[BenchWorker, BenchWorker]> {
	if (!secondFirst) return [await launchWorker(ground, one), await launchWorker(ground, two)];
	const second = await launchWorker(ground, two);
	return [await launchWorker(ground, one), second];
}

/** A B B A, or B A A B. */
async function measureBoth(
	plan: Plan,
	workers: readonly [BenchWorker, BenchWorker],
	subject: MeasureRequest["subject"],
	secondFirst: boolean,
): Promise<[number, number]> {
	const sums: [number, number] = [0, 0];
	const order = [0, 1, 1, 0].map((side) => (secondFirst ? 1 - side : side) as 0 | 1);
	for (const side of order) {
		const request = { subject, blockMs, turns: ["service"] } as const;
		const { service } = await ratesIn(plan, workers[side], request);
		sums[side] += service ?? Number.NaN;
	}
	return [sums[0] / turnsEach, sums[1] / turnsEach];
}

import type { Generator, Measured } from "./generator.ts";
import type { Plan } from "./plan.ts";
import { cpuTimeOf } from "./processes.ts";
import type { Side } from "./sides.ts";
import type { BenchWorker } from "./workers.ts";

const connections = 16;
/** By then the compiler is done with what is hot; a busy machine takes longer to come there. */
const warmUpRequests = 5_000;
const warmUpMsMax = 15_000;
const warmUpStepMs = 500;
/**
 * Short and many, so that what changes slowly on the machine meets both sides alike. Blocks of one round vary
 * by far more than one process from the next, so a round has more of them than a start is worth.
 */
const blockMs = 200;
const blocksEach = 16;

/** What came of one side in each round. */
export interface SideRounds {
	readonly perSecond: number[];
	/** NaN where the system does not tell. */
	readonly perCpuSecond: number[];
	readonly outcomes: Measured[];
}

/**
 * Signs on both sides in turn. Each round has a fresh process for each, because one process may by luck of
 * its memory and its compiler be faster than the next for as long as it lives; who comes first changes
 * with every round, and within it with every block.
 */
export async function runRounds(
	plan: Plan,
	id: string,
	generator: Generator,
	sides: readonly [Side, Side],
	rounds: number,
): Promise<[SideRounds, SideRounds]> {
	const results = [newRounds(), newRounds()] as const;
	for (let round = 0; round < rounds; round++) {
		plan.progress(`${id}: round ${round + 1} of ${rounds}`);
		plan.signal.throwIfAborted();
		const order = round % 2 === 0 ? [0, 1] : [1, 0];
		await runRound(generator, sides, results, order);
	}
	return [results[0], results[1]];
}

function newRounds(): SideRounds {
	return { perSecond: [], perCpuSecond: [], outcomes: [] };
}

interface Entrant {
	readonly worker: BenchWorker;
	readonly request: string;
	readonly outcomes: Measured[];
	readonly into: SideRounds;
}

async function runRound(
	generator: Generator,
	sides: readonly [Side, Side],
	results: readonly [SideRounds, SideRounds],
	order: readonly number[],
): Promise<void> {
	const entrants: Entrant[] = [];
	for (const at of order) {
		const [side, into] = [sides[at], results[at]];
		if (!side || !into) throw new Error("there are two sides");
		const worker = await side.start();
		entrants.push({ worker, request: side.request, outcomes: [], into });
	}
	for (const entrant of entrants) await warmUp(generator, entrant);
	const before = entrants.map(({ worker }) => cpuSecondsOf(worker));
	for (let block = 0; block < blocksEach; block++) {
		for (const { worker, request, outcomes } of block % 2 ? entrants.toReversed() : entrants) {
			const job = { request, connections, warmUpMs: 0, measureMs: blockMs, rate: null };
			outcomes.push(await generator.run(worker, job));
		}
	}
	for (const [at, entrant] of entrants.entries()) note(entrant, before[at] ?? Number.NaN);
	await Promise.all(entrants.map(({ worker }) => worker.stop()));
}

async function warmUp(generator: Generator, { worker, request }: Entrant): Promise<void> {
	const end = performance.now() + warmUpMsMax;
	const job = { request, connections, warmUpMs: 0, measureMs: warmUpStepMs, rate: null };
	for (let answered = 0; answered < warmUpRequests && performance.now() < end; ) {
		answered += (await generator.run(worker, job)).answeredInAll;
	}
}

/** The processor time is that of the whole round: records go on moving while the other side has its turn. */
function note({ worker, outcomes, into }: Entrant, before: number): void {
	const sum = (value: (outcome: Measured) => number) =>
		outcomes.reduce((total, outcome) => total + value(outcome), 0);
	into.perSecond.push((1000 * sum(({ answered }) => answered)) / (outcomes.length * blockMs));
	into.perCpuSecond.push(
		sum(({ answeredInAll }) => answeredInAll) / (cpuSecondsOf(worker) - before),
	);
	into.outcomes.push(...outcomes);
}

function cpuSecondsOf(worker: BenchWorker): number {
	return cpuTimeOf(worker.pid() ?? 0)?.total ?? Number.NaN;
}

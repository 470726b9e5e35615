import { algorithms } from "../../../src/signing/algorithms.ts";
import { bareOperation } from "./bare.ts";
import { habits, hold } from "./habits.ts";
import { limiterSides } from "./limiter.ts";
import type {
	GenerateAnswer,
	GenerateRequest,
	MeasureAnswer,
	MeasureRequest,
	Side,
	Subject,
} from "./messages.ts";
import { newFixture, type Operation, serviceOperation } from "./service.ts";

interface Sides {
	readonly operations: Readonly<Record<Side, Operation>>;
	/** Operations between two looks at the clock: about 50 microseconds of work. */
	readonly chunk: Readonly<Record<Side, number>>;
}

const warmUpMs = 60;
const looksPerMs = 20;
const prepared = new Map<string, Promise<Sides>>();

export default {
	async fetch(request: Request): Promise<Response> {
		const { pathname } = new URL(request.url);
		if (pathname === "/measure") return Response.json(await measure(await request.json()));
		if (pathname === "/generate") return Response.json(await generate(await request.json()));
		if (pathname === "/hold") return Response.json(hold(await request.json()));
		return new Response(null, { status: 404 });
	},
};

/**
 * Both sides in turn within one group, so that what changes slowly (the clock of the processor,
 * other work on the machine) meets both alike.
 */
async function measure({ subject, blockMs, turns }: MeasureRequest): Promise<MeasureAnswer> {
	const { operations, chunk } = await sidesOf(subject);
	const counted = { service: 0, bare: 0 };
	const elapsedMs = { service: 0, bare: 0 };
	for (const side of turns) {
		const block = await runBlock(operations[side], chunk[side], blockMs);
		counted[side] += block.count;
		elapsedMs[side] += block.elapsedMs;
	}
	const rate = (side: Side) => (1000 * counted[side]) / elapsedMs[side];
	return Object.fromEntries(turns.map((side) => [side, rate(side)]));
}

/** The fixture is made once, and both sides have been warm before the first group. */
function sidesOf(subject: MeasureRequest["subject"]): Promise<Sides> {
	const name = JSON.stringify(subject);
	const known = prepared.get(name) ?? prepare(subject);
	prepared.set(name, known);
	return known;
}

async function prepare(subject: MeasureRequest["subject"]): Promise<Sides> {
	const operations = await operationsOf(subject);
	const chunkOf = async (side: Side) => {
		const { count, elapsedMs } = await runBlock(operations[side], 1, warmUpMs);
		return Math.max(1, Math.round(count / elapsedMs / looksPerMs));
	};
	return { operations, chunk: { service: await chunkOf("service"), bare: await chunkOf("bare") } };
}

function operationsOf(subject: MeasureRequest["subject"]) {
	if (subject === "limiter") return limiterSides();
	return typeof subject === "string" ? habits[subject] : signingSides(subject);
}

async function signingSides(subject: Subject): Promise<Sides["operations"]> {
	const fixture = await newFixture(subject);
	return {
		service: await serviceOperation(subject, fixture),
		bare: await bareOperation(subject, fixture),
	};
}

async function runBlock(operation: Operation, chunk: number, blockMs: number) {
	const start = nextMillisecond();
	let count = 0;
	while (performance.now() - start < blockMs) {
		for (let i = 0; i < chunk; i++) await operation();
		count += chunk;
	}
	return { count, elapsedMs: exactNow() - start };
}

async function generate({ algorithm, modulusLength }: GenerateRequest): Promise<GenerateAnswer> {
	const start = nextMillisecond();
	await algorithms[algorithm].generate(modulusLength);
	return { milliseconds: exactNow() - start };
}

/** The moment at which the clock, which has whole milliseconds, moves on. */
function nextMillisecond(): number {
	const before = performance.now();
	let now = before;
	while (now === before) now = performance.now();
	return now;
}

/**
 * The time in parts of a millisecond: how often the clock can be read until it moves on, compared
 * with how often within a whole millisecond. It takes up to two of them.
 */
function exactNow(): number {
	const rest = readsUntilNext();
	const whole = readsUntilNext();
	const twoLater = performance.now();
	return twoLater - 1 - Math.min(1, rest / whole);
}

function readsUntilNext(): number {
	const before = performance.now();
	let reads = 1;
	while (performance.now() === before) reads++;
	return reads;
}

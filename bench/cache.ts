import { setImmediate } from "node:timers/promises";
import { CacheAnalysis } from "../src/cache/analysis.ts";
import { bytesOfAll, nameOf, type PolicyName, replay, timelessStore } from "./cache-replay.ts";
import { bytesOf, tracesOf } from "./cache-traces.ts";
import { differenceFigure } from "./figures.ts";
import type { Plan } from "./plan.ts";

const policyNames = ["LRU", "SIEVE", "S3-FIFO"] as const satisfies readonly PolicyName[];
const names = 100_000;
const reads = 1_000_000;
const warmReads = reads / 2;
/** Parts of the bytes of all names, that of the first goal among them. */
const parts = [1 / 64, 1 / 16, 1 / 4, 3 / 4] as const;
const ids = { ratios: "cache/hit-ratio", curve: "cache/curve", cost: "cache/cost" } as const;
const hitRatioLeast = 0.95;
const pointsMost = 2;
const costBlocks = 24;
const costReads = 100_000;
const costNames = 10_000;

/** Traces through the isolate's memory: what is hit, whether the curve is right, and what it costs. */
export async function runCache(plan: Plan): Promise<void> {
	const wanted = Object.values(ids).filter((id) => plan.wants(id));
	if (wanted.length === 0) return;
	plan.progress("cache: making the traces");
	const ground = makeGround();
	if (wanted.includes(ids.ratios)) await measureRatios(plan, ground);
	if (wanted.includes(ids.curve)) await measureCurve(plan, ground);
	if (wanted.includes(ids.cost)) await measureCost(plan, ground);
}

/** All of it is computed in this process, which hears of a request to end only where it pauses. */
async function proceed({ progress, signal }: Plan, line: string): Promise<void> {
	progress(line);
	await setImmediate();
	signal.throwIfAborted();
}

function makeGround() {
	return {
		all: bytesOfAll(names),
		texts: Array.from({ length: 2 * names }, (_, number) => nameOf(number)),
		traces: tracesOf(names, reads),
	};
}

type Ground = ReturnType<typeof makeGround>;

/** A figure of hit ratios is one of S3-FIFO; the others are in its notes, for the same reads and bytes. */
async function measureRatios(plan: Plan, { all, texts, traces }: Ground): Promise<void> {
	for (const { name, about, reads: trace } of traces) {
		for (const part of parts) {
			const ratios: number[] = [];
			for (const policy of policyNames) {
				await proceed(plan, `${ids.ratios}/${name}: ${part} of all, ${policy}`);
				ratios.push(replay(timelessStore(part * all, policy), trace, texts, warmReads));
			}
			const [lru = 0, sieve = 0, ours = 0] = ratios;
			const goal = goalOf(name, part, ours, lru);
			plan.done({
				id: `${ids.ratios}/${name}/${(100 * part).toFixed(1)}%`,
				unit: "%",
				value: 100 * ours,
				samples: trace.length - warmReads,
				...(goal && { goal }),
				notes: [
					`${about}; LRU ${percent(lru)}, SIEVE ${percent(sieve)} in the same ${Math.round((part * all) / 1024)} KiB, for ${percent(part)} of ${names.toLocaleString("en-US")} names; after ${warmReads.toLocaleString("en-US")} reads`,
				],
			});
		}
	}
}

function goalOf(trace: string, part: number, ours: number, lru: number) {
	if (trace === "scan") {
		return { text: `> LRU's ${percent(lru)}`, met: ours > lru, sure: true };
	}
	if (trace !== "zipf" || part !== parts.at(-1)) return null;
	return { text: `> ${percent(hitRatioLeast)}`, met: ours > hitRatioLeast, sure: true };
}

/** The curve that a cache for a quarter of the names draws, against caches of those sizes. */
async function measureCurve(plan: Plan, { all, texts, traces }: Ground): Promise<void> {
	for (const { name, reads: trace } of traces) {
		await proceed(plan, `${ids.curve}/${name}: the curve`);
		const analysis = new CacheAnalysis(all / 4);
		const watch = (hash: number, bytes: number) => analysis.read(hash, bytes);
		replay(timelessStore(all / 4, "S3-FIFO", watch), trace, texts);
		const points: { part: number; missRatio: number; measured: number }[] = [];
		for (const { bytes, missRatio } of analysis.curve()) {
			await proceed(plan, `${ids.curve}/${name}: ${Math.round(bytes / 1024)} KiB`);
			const measured = 1 - replay(timelessStore(bytes, "S3-FIFO"), trace, texts);
			points.push({ part: bytes / all, missRatio, measured });
		}
		const worst = Math.max(...points.map((point) => Math.abs(point.missRatio - point.measured)));
		const isGoal = name === "zipf" || name === "scan";
		plan.done({
			id: `${ids.curve}/${name}/worst`,
			unit: "points",
			value: 100 * worst,
			samples: points.length,
			...(isGoal && {
				goal: { text: `< ${pointsMost}`, met: 100 * worst < pointsMost, sure: true },
			}),
			notes: points.map(
				({ part, missRatio, measured }) =>
					`${percent(part)} of all bytes: misses ${percent(measured)}, the curve says ${percent(missRatio)}`,
			),
		});
	}
}

/** A get, and a get with the set of what it missed, beside a bare Map: blocks in turn, the order reversed each time. */
async function measureCost(plan: Plan, { traces }: Ground): Promise<void> {
	const texts = Array.from({ length: costNames }, (_, number) => nameOf(number));
	const order = traces[0]?.reads.slice(0, costReads).map((number) => number % costNames);
	const numbers = order ?? new Int32Array();
	const analysis = new CacheAnalysis(16 * 1024 ** 2);
	const watched = timelessStore(Number.POSITIVE_INFINITY, "S3-FIFO", (hash, bytes) =>
		analysis.read(hash, bytes),
	);
	const sides = {
		get: sideOf(timelessStore(Number.POSITIVE_INFINITY, "S3-FIFO"), texts),
		"get, watched": sideOf(watched, texts),
		"get and set, full": sideOf(timelessStore(bytesOfAll(costNames) / 8, "S3-FIFO"), texts),
		"get and set, full, by LRU": sideOf(timelessStore(bytesOfAll(costNames) / 8, "LRU"), texts),
		"get and set, full, by SIEVE": sideOf(timelessStore(bytesOfAll(costNames) / 8, "SIEVE"), texts),
	};
	for (const [name, side] of Object.entries(sides)) {
		const bare = bareSide(texts);
		const own: number[] = [];
		const beside: number[] = [];
		for (let block = 0; block < costBlocks; block++) {
			await proceed(plan, `${ids.cost}/${name}: ${block} of ${costBlocks} blocks`);
			const both = [() => own.push(timed(side, numbers)), () => beside.push(timed(bare, numbers))];
			for (const run of block % 2 === 0 ? both : both.reverse()) run();
		}
		// The first blocks are the compiler's.
		const line = { id: `${ids.cost}/${name}`, unit: "µs" } as const;
		plan.done(
			differenceFigure(line, own.slice(4), { name: "a bare Map", values: beside.slice(4) }),
		);
	}
}

type Side = (name: string, number: number) => void;

function sideOf(store: ReturnType<typeof timelessStore>, texts: readonly string[]): Side {
	const since = store.now();
	const side: Side = (name, number) => {
		if (store.get("bench", name) === undefined) {
			store.set("bench", name, number, bytesOf(number), since);
		}
	};
	for (const [number, name] of texts.entries()) side(name, number);
	return side;
}

function bareSide(texts: readonly string[]): Side {
	const map = new Map(texts.map((name, number) => [name, number]));
	return (name, number) => {
		if (map.get(name) === undefined) map.set(name, number);
	};
}

/** Microseconds of one operation. Names are made anew, as requests bring them: their hash is not known yet. */
function timed(side: Side, numbers: Int32Array): number {
	const names = Array.from(numbers, nameOf);
	const start = performance.now();
	for (const [index, number] of numbers.entries()) side(names[index] ?? "", number);
	return (1000 * (performance.now() - start)) / numbers.length;
}

function percent(part: number): string {
	return `${(100 * part).toFixed(1)} %`;
}

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type HeapUsage, type Inspector, openInspector } from "../local/inspector.ts";
import { freePort } from "../local/ports.ts";
import { startServices } from "../local/services.ts";
import { projectConfig } from "../local/stack.ts";
import type { Figure } from "./figures.ts";
import { type Measured, remarksOn, startGenerator } from "./generator.ts";
import { keptBytes } from "./heap-snapshot.ts";
import type { Plan } from "./plan.ts";
import { createService, sampleMessage } from "./service.ts";
import { type Interval, trend } from "./stats.ts";
import { type BenchWorker, type Ground, startWorker } from "./workers.ts";

const id = "memory";
const connections = 32;
/** Until the caches have what they hold. */
const warmUpMs = 8_000;
const blockMs = 4_000;
const roundsMin = 8; // fewer give no interval that is worth one
/** Of a soak: more of them give a narrower interval, and each takes seconds to look at the heap. */
const soakRounds = 24;
/** Points from which on a slope says anything. */
const slopeFrom = 4;
/** Until records have moved to Postgres, and nothing of the load is under way any more. */
const restMs = 2_500;
const sampleMs = 100;
const heapBelow = 128 * 1024 * 1024;
const slopeAtMost = 1024;
const slopePer = 10_000;
const key = "bench-memory";

/** The heap of the service's isolate before, under and after load, and what it grows by. */
export async function runMemory(plan: Plan, ground: Ground): Promise<void> {
	if (!plan.wants(id)) return;
	plan.progress("memory: starting PostgreSQL, the gateways and the worker");
	const services = await startServices({ ...ground, durable: true, urls: [] });
	const inspectorPort = await freePort();
	const worker = await startWorker(ground, id, projectConfig, services.vars, inspectorPort);
	const inspector = await openInspector(inspectorPort);
	ground.undo.add(async () => inspector.close());
	const service = createService(worker, services.admin.token);
	await service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	const request = service.prepare(`/v1/keys/${key}/sign`, { message: sampleMessage });
	const generator = startGenerator(ground, plan.signal);
	const load = (measureMs: number) =>
		generator.run(worker, { request, connections, warmUpMs: 0, measureMs, rate: null });

	plan.progress("memory: warming up");
	const rest = () => atRest(inspector, worker, join(ground.folder.path, `${id}.heapsnapshot`));
	const before = await rest();
	const outcomes = [await load(warmUpMs)];
	const points: Point[] = [];
	let under = 0;
	let requests = 0;
	for (;;) {
		points.push({ requests, ...(await rest()) });
		plan.progress(progressOf(plan, points));
		if (isEnough(plan, points)) break;
		const { perSecond = 0 } = outcomes.at(-1) ?? {};
		const [outcome, most] = await watched(inspector, load(blockMsOf(plan, perSecond)));
		outcomes.push(outcome);
		under = Math.max(under, most);
		requests += outcome.answeredInAll;
	}
	report(plan, { before: before.heap, under, points, outcomes, peak: peakOf(worker) });
}

/** The isolate after a collection, in bytes. */
interface Rest {
	/** All of its heap. */
	readonly heap: number;
	/** What of it the program keeps: without the machine code that V8 makes, for hours, as it learns. */
	readonly kept: number;
}

interface Point extends Rest {
	/** Since the warm-up. */
	readonly requests: number;
}

/** So many requests where they were asked for, else so many rounds as there is time for. */
function isEnough({ requests, seconds }: Plan, points: readonly Point[]): boolean {
	const rounds = points.length - 1;
	if (requests !== null) return rounds >= roundsMin && (points.at(-1)?.requests ?? 0) >= requests;
	return rounds >= Math.max(roundsMin, Math.round((seconds.http * 1000) / blockMs));
}

function blockMsOf({ requests }: Plan, perSecond: number): number {
	return Math.max(blockMs, (1000 * (requests ?? 0)) / soakRounds / Math.max(1, perSecond));
}

function progressOf({ requests: wanted }: Plan, points: readonly Point[]): string {
	const { requests = 0 } = points.at(-1) ?? {};
	const far = `memory: ${requests.toLocaleString("en-US")} requests`;
	const of = wanted === null ? "" : ` of ${wanted.toLocaleString("en-US")}`;
	if (points.length <= slopeFrom) return far + of;
	const { median, low, high } = slopeOf(points, "kept");
	const range = `[${low.toFixed(0)}, ${high.toFixed(0)}]`;
	return `${far}${of}, +${median.toFixed(0)} ${range} bytes for each 10,000 so far`;
}

function slopeOf(points: readonly Point[], of: keyof Rest): Interval {
	return trend(points.map((point) => [point.requests / slopePer, point[of]]));
}

interface Findings {
	readonly before: number;
	readonly under: number;
	readonly points: readonly Point[];
	readonly outcomes: readonly Measured[];
	readonly peak: number | null;
}

function report(plan: Plan, { before, under, points, outcomes, peak }: Findings): void {
	const heap = (when: string, value: number, samples: number): Figure => ({
		id: `${id}/heap/${when}`,
		unit: "bytes",
		value,
		samples,
		goal: { text: "< 128 MiB", met: value < heapBelow, sure: true },
	});
	plan.done(heap("before", before, 1));
	plan.done(heap("under", under, points.length - 1));
	plan.done(heap("after", points.at(-1)?.heap ?? Number.NaN, 1));
	const all = slopeOf(points, "heap");
	const slope = slopeOf(points, "kept");
	const kibibytes = points.map(({ kept }) => (kept / 1024).toFixed(0)).join(", ");
	plan.done({
		id: `${id}/slope`,
		unit: "bytes",
		value: slope.median,
		samples: points.length,
		interval: slope,
		goal: slopeGoal(slope),
		notes: [
			`growth for each 10,000 of ${points.at(-1)?.requests.toLocaleString("en-US")} requests, with 95 % confidence, of what the isolate keeps (${kibibytes} KiB); with V8's machine code ${all.median.toFixed(0)} [${all.low.toFixed(0)}, ${all.high.toFixed(0)}]`,
			...remarksOn(outcomes),
		],
	});
	if (peak !== null) {
		const notes = ["resident memory of the whole workerd: all isolates, the engine, its threads"];
		plan.done({ id: `${id}/peak`, unit: "bytes", value: peak, samples: 1, notes });
	}
}

function slopeGoal({ median, low, high }: Interval) {
	const met = median <= slopeAtMost;
	const sure = met ? high <= slopeAtMost : low > slopeAtMost;
	return { text: `<= ${slopeAtMost.toLocaleString("en-US")}`, met, sure };
}

async function atRest(inspector: Inspector, { url }: BenchWorker, file: string): Promise<Rest> {
	await sleep(restMs);
	await inspector.collectGarbage(async () => (await fetch(`${url}/healthz`)).arrayBuffer());
	const heap = bytesOf(await inspector.heapUsage());
	await inspector.takeHeapSnapshot(file);
	return { heap, kept: keptBytes(JSON.parse(await readFile(file, "utf8"))) };
}

/**
 * JavaScript's objects and the contents of buffers. Not `embedderHeapUsedSize`: the runtime sweeps its
 * own objects when it likes to, so that the same heap has 5 or 250 KiB of them.
 */
function bytesOf({ usedSize, backingStorageSize }: HeapUsage): number {
	return usedSize + backingStorageSize;
}

/** The outcome, and the largest heap that was seen until it came, garbage included. */
async function watched<T>(inspector: Inspector, work: Promise<T>): Promise<[T, number]> {
	let most = 0;
	let isOver = false;
	const done = work.finally(() => {
		isOver = true;
	});
	done.catch(() => {}); // told below
	while (!isOver) {
		most = Math.max(most, bytesOf(await inspector.heapUsage()));
		await sleep(sampleMs);
	}
	return [await done, most];
}

/** The largest resident size that the worker's process ever had (proc_pid_status(5)); null where it is not told. */
function peakOf(worker: BenchWorker): number | null {
	const pid = worker.pid();
	if (pid === undefined) return null;
	const [, kibibytes] =
		/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
	return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

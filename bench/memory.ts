import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type HeapUsage, type Inspector, openInspector } from "../local/inspector.ts";
import { freePort } from "../local/ports.ts";
import { startServices } from "../local/services.ts";
import { projectConfig } from "../local/stack.ts";
import type { Figure } from "./figures.ts";
import { type Measured, remarksOn, startGenerator } from "./generator.ts";
import type { Plan } from "./plan.ts";
import { findInGroup } from "./processes.ts";
import { createService, sampleMessage } from "./service.ts";
import { type Interval, trend } from "./stats.ts";
import { type BenchWorker, type Ground, startWorker } from "./workers.ts";

const id = "memory";
const connections = 32;
/**
 * Until V8 has compiled what is worth it: the heap grows by some 300 KiB of machine code till then, and a
 * comparison of snapshots finds nothing else that does.
 */
const warmUpRequests = 100_000;
const warmUpMsMax = 120_000;
const blockMs = 4_000;
const roundsMin = 8; // fewer give no interval that is worth one
/** Until records have moved to Postgres, and nothing of the load is under way any more. */
const restMs = 2_500;
const sampleMs = 100;
/** The smallest heap of several: what is made while one collects goes with the next. */
const collections = 3;
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
	const service = createService(worker, services.adminToken);
	await service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	const request = service.prepare(`/v1/keys/${key}/sign`, { message: sampleMessage });
	const generator = startGenerator(ground, plan.signal);
	const load = (measureMs: number) =>
		generator.run(worker, { request, connections, warmUpMs: 0, measureMs, rate: null });

	plan.progress("memory: warming up");
	const before = await heapAtRest(inspector, worker);
	const outcomes = await warmUp(load);
	const isWarm = countOf(outcomes) >= warmUpRequests;
	const rounds = Math.max(roundsMin, Math.round((plan.seconds.http * 1000) / blockMs));
	const points: Point[] = [];
	let under = 0;
	let requests = 0;
	for (let round = 0; round <= rounds; round++) {
		plan.progress(`memory: round ${round} of ${rounds}`);
		const bytes = await heapAtRest(inspector, worker);
		points.push({ requests, bytes });
		if (round === rounds) break;
		const [outcome, most] = await watched(inspector, load(blockMs));
		outcomes.push(outcome);
		under = Math.max(under, most);
		requests += outcome.answeredInAll;
	}
	report(plan, { before, under, points, outcomes, isWarm, peak: peakOf(worker) });
}

async function warmUp(load: (measureMs: number) => Promise<Measured>): Promise<Measured[]> {
	const outcomes: Measured[] = [];
	for (let ms = 0; countOf(outcomes) < warmUpRequests && ms < warmUpMsMax; ms += blockMs) {
		outcomes.push(await load(blockMs));
	}
	return outcomes;
}

function countOf(outcomes: readonly Measured[]): number {
	return outcomes.reduce((sum, { answeredInAll }) => sum + answeredInAll, 0);
}

/** The heap after a collection, and the requests since the warm-up. */
interface Point {
	readonly requests: number;
	readonly bytes: number;
}

interface Findings {
	readonly before: number;
	readonly under: number;
	readonly points: readonly Point[];
	readonly outcomes: readonly Measured[];
	readonly isWarm: boolean;
	readonly peak: number | null;
}

function report(plan: Plan, { before, under, points, outcomes, isWarm, peak }: Findings): void {
	const heap = (when: string, value: number, samples: number): Figure => ({
		id: `${id}/heap/${when}`,
		unit: "bytes",
		value,
		samples,
		goal: { text: "< 128 MiB", met: value < heapBelow, sure: true },
	});
	plan.done(heap("before", before, 1));
	plan.done(heap("under", under, points.length - 1));
	plan.done(heap("after", points.at(-1)?.bytes ?? Number.NaN, 1));
	const slope = trend(points.map(({ requests, bytes }) => [requests / slopePer, bytes]));
	plan.done({
		id: `${id}/slope`,
		unit: "bytes",
		value: slope.median,
		samples: points.length,
		interval: slope,
		goal: slopeGoal(slope),
		notes: [
			`by which the heap grows for each 10,000 requests, of ${points.at(-1)?.requests} after a warm-up; the heaps were ${points.map(({ bytes }) => (bytes / 1024).toFixed(0)).join(", ")} KiB`,
			...(isWarm
				? []
				: ["WARNING: too slow to get warm: V8 still compiled, and its code is in the slope"]),
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

async function heapAtRest(inspector: Inspector, { url }: BenchWorker): Promise<number> {
	await sleep(restMs);
	const found: number[] = [];
	for (let collection = 0; collection < collections; collection++) {
		await inspector.collectGarbage(async () => (await fetch(`${url}/healthz`)).arrayBuffer());
		found.push(bytesOf(await inspector.heapUsage()));
	}
	return Math.min(...found);
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
function peakOf({ group }: BenchWorker): number | null {
	const pid = findInGroup(group, "workerd");
	if (pid === undefined) return null;
	const [, kibibytes] =
		/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
	return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

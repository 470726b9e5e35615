import { join } from "node:path";
import { openInspector } from "../local/inspector.ts";
import { freePort } from "../local/ports.ts";
import { startServices } from "../local/services.ts";
import { projectConfig } from "../local/stack.ts";
import { differenceFigure, pairedFigure } from "./figures.ts";
import { runMicroRounds } from "./micro-rounds.ts";
import type { Plan } from "./plan.ts";
import { cpuTimeOf } from "./processes.ts";
import { type HabitName, type HoldRequest, habitNames } from "./worker/micro/messages.ts";
import {
	type Built,
	benchConfig,
	buildWorker,
	type Ground,
	launchWorker,
	variantConfig,
} from "./workers.ts";

const ids = {
	habit: (name: HabitName) => `economy/${name}`,
	rowBytes: "economy/row-strings/bytes",
	start: "economy/lazy/start",
	startCpu: "economy/lazy/start/cpu",
	heap: "economy/lazy/heap",
} as const;
/** What stands beside each habit. */
const others: Readonly<Record<HabitName, string>> = {
	"one-encoder": "a new encoder each time",
	"token-hash": "a buffer used again",
	"message-bytes": "a buffer used again",
	"row-strings": "interned",
	"mac-text": "the MAC alone",
};
const habitRoundSeconds = 0.3;
/** Fewer can not give an interval of 95 %. */
const habitRoundsMin = 6;
const rows = 20_000;
const holdRounds = 8;
const startRounds = 20;
const unmeasuredRounds = 1;

/** What could be pooled, interned or loaded late: the service as it is beside the same done otherwise. */
export async function runEconomies(plan: Plan, ground: Ground): Promise<void> {
	const habits = habitNames.filter((name) => plan.wants(ids.habit(name)));
	const wantsBytes = plan.wants(ids.rowBytes);
	if (habits.length > 0 || wantsBytes) {
		plan.progress("bundling the worker of the micro benchmarks");
		const built = await buildWorker(ground, "economies", benchConfig("micro"));
		if (habits.length > 0) await measureHabits(plan, ground, built, habits);
		if (wantsBytes) await measureRows(plan, ground, built);
	}
	if ([ids.start, ids.startCpu, ids.heap].some((id) => plan.wants(id)))
		await measureStart(plan, ground);
}

async function measureHabits(
	plan: Plan,
	ground: Ground,
	built: Built,
	habits: readonly HabitName[],
): Promise<void> {
	const rounds = Math.max(habitRoundsMin, Math.round(plan.seconds.micro / habitRoundSeconds));
	const wanted = habits.map((name) => ({ id: ids.habit(name), subject: name }));
	const entrants = [
		{ built, turn: "service" },
		{ built: { ...built, name: `${built.name}-otherwise` }, turn: "bare" },
	] as const;
	const rates = await runMicroRounds(plan, ground, wanted, entrants, rounds);
	for (const [at, { id, unit, values, besides }] of rates.entries()) {
		const name = habits[at] === undefined ? "" : others[habits[at]];
		plan.done(pairedFigure({ id, unit }, values, { name, values: besides }));
	}
}

/** What a row holds as it is parsed, and with the texts interned that many rows have. */
async function measureRows(plan: Plan, ground: Ground, built: Built): Promise<void> {
	const inspectorPort = await freePort();
	const { url } = await launchWorker(ground, built, {}, inspectorPort);
	const inspector = await openInspector(inspectorPort, "bench-micro");
	ground.undo.add(async () => inspector.close());
	const hold = async (request: HoldRequest) => {
		const body = JSON.stringify(request);
		const answer = await fetch(`${url}/hold`, { method: "POST", body, signal: plan.signal });
		await answer.text();
	};
	const bytesFor = async (isInterned: boolean) => {
		await hold({ rows, isInterned });
		await inspector.collectGarbage(async () => (await fetch(url)).arrayBuffer());
		return (await inspector.heapUsage()).usedSize;
	};
	const own: number[] = [];
	const beside: number[] = [];
	for (let round = 0; round < holdRounds; round++) {
		plan.progress(`${ids.rowBytes}: round ${round + 1} of ${holdRounds}`);
		await hold({ rows: 0, isInterned: false });
		const isSecondFirst = round % 2 === 1;
		const first = await bytesFor(isSecondFirst);
		const second = await bytesFor(!isSecondFirst);
		const [plain, interned] = isSecondFirst ? [second, first] : [first, second];
		own.push(plain / rows);
		beside.push(interned / rows);
	}
	const line = { id: ids.rowBytes, unit: "bytes" } as const;
	plan.done(
		differenceFigure(line, own, { name: "interned, the whole heap a row", values: beside }),
	);
}

/** A process that begins, until it has answered once: libraries loaded on first use, beside all at once. */
async function measureStart(plan: Plan, ground: Ground): Promise<void> {
	plan.progress("economy/lazy: starting PostgreSQL and bundling the service twice");
	const { vars } = await startServices({ ...ground, durable: false, urls: [] });
	const main = join(import.meta.dirname, "worker", "eager", "index.ts");
	const eagerConfig = await variantConfig(ground, "eager", { main });
	const builds = {
		lazy: await buildWorker(ground, "lazy", projectConfig),
		eager: await buildWorker(ground, "eager", eagerConfig),
	};
	const begun: Record<keyof typeof builds, Begun[]> = { lazy: [], eager: [] };
	const order = ["lazy", "eager"] as const;
	for (let round = -unmeasuredRounds; round < startRounds; round++) {
		plan.progress(`economy/lazy: round ${round + 1} of ${startRounds}`);
		for (const side of round % 2 === 0 ? order : order.toReversed()) {
			const one = await begin(ground, builds[side], vars);
			if (round >= 0) begun[side].push(one);
		}
	}
	for (const [id, unit, of] of [
		[ids.start, "ms", "milliseconds"],
		[ids.startCpu, "ms", "cpuMs"],
		[ids.heap, "bytes", "heapBytes"],
	] as const) {
		const values = (side: keyof typeof builds) => begun[side].map((one) => one[of]);
		const beside = { name: "all at once", values: values("eager") };
		if (values("lazy").every(Number.isFinite)) {
			plan.done(differenceFigure({ id, unit }, values("lazy"), beside));
		}
	}
}

interface Begun {
	readonly milliseconds: number;
	/** Of the processor, by all of workerd; NaN where the system does not tell. */
	readonly cpuMs: number;
	readonly heapBytes: number;
}

async function begin(
	ground: Ground,
	built: Built,
	vars: Readonly<Record<string, string>>,
): Promise<Begun> {
	const inspectorPort = await freePort();
	const start = performance.now();
	const worker = await launchWorker(ground, built, vars, inspectorPort);
	const answer = async () => (await fetch(`${worker.url}/healthz`)).arrayBuffer();
	await answer();
	const milliseconds = performance.now() - start;
	const cpuMs = 1000 * (cpuTimeOf(worker.pid() ?? 0)?.total ?? Number.NaN);
	const inspector = await openInspector(inspectorPort);
	await inspector.collectGarbage(answer);
	const { usedSize } = await inspector.heapUsage();
	inspector.close();
	await worker.stop();
	return { milliseconds, cpuMs, heapBytes: usedSize };
}

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Figure, Report } from "../bench/figures.ts";
import type { LoadResult } from "../loadtests/results.ts";
import { runScenario } from "../loadtests/run-scenario.ts";
import type { Scenario } from "../loadtests/scenario.ts";
import { scenarios } from "../loadtests/scenarios/index.ts";
import { ownTarget } from "../loadtests/target.ts";
import { inOneLine, Problem } from "../local/problem.ts";
import type { Measurements } from "./judge.ts";
import { limits } from "./limits.ts";
import type { Target } from "./targets.ts";

export interface MeasureOptions {
	/** A file that `npm run bench -- --json` wrote, in the place of a run. */
	readonly benchFile: string | undefined;
	/** Told what begins. */
	readonly onStep: (line: string) => void;
	/** Told how far that is, some times a second. */
	readonly onProgress: (line: string) => void;
	readonly signal: AbortSignal;
}

type Measured<By extends string> = Extract<Target["from"], { readonly by: By }>;

/** Runs what the targets need, each thing once, one after the other. */
export async function measure(
	targets: readonly Target[],
	options: MeasureOptions,
): Promise<Measurements> {
	const from = targets.map((target) => target.from);
	const bench = from.filter((source): source is Measured<"bench"> => source.by === "bench");
	const load = from.filter((source): source is Measured<"load"> => source.by === "load");
	const steps = (bench.length > 0 ? 1 : 0) + load.length;
	const figures = bench.length > 0 ? await runBench(bench, steps, options) : [];
	const loads = new Map<string, LoadResult>();
	for (const [index, source] of load.entries()) {
		const step = `${steps - load.length + index + 1} of ${steps}`;
		const result = await runLoad(source, step, options);
		if (result) loads.set(source.scenario, result);
	}
	return { figures, loads };
}

async function runBench(
	sources: readonly Measured<"bench">[],
	steps: number,
	{ benchFile, onStep, signal }: MeasureOptions,
): Promise<readonly Figure[]> {
	if (benchFile !== undefined) return readFigures(benchFile);
	const only = [...new Set(sources.map(({ run }) => run))].join("|");
	onStep(`1 of ${steps}: npm run bench -- --quick --only '${only}'`);
	const folder = await mkdtemp(join(tmpdir(), "edgesign-validate-"));
	const file = join(folder, "bench.json");
	try {
		await runProgram(["--quick", "--only", only, "--json", file], signal);
		return await readFigures(file);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

async function readFigures(file: string): Promise<readonly Figure[]> {
	try {
		const { version, figures } = JSON.parse(await readFile(file, "utf8")) as Report;
		if (version === 1 && Array.isArray(figures)) return figures;
	} catch (error) {
		throw new Problem(`${file} can not be read: ${inOneLine(error)}`);
	}
	throw new Problem(`${file} is no file of npm run bench -- --json`);
}

/** Its progress goes to the terminal, its table nowhere: what counts of it is in ours. */
async function runProgram(args: readonly string[], signal: AbortSignal): Promise<void> {
	const program = join(import.meta.dirname, "..", "bench", "run.ts");
	const child = spawn(process.execPath, [program, ...args], {
		stdio: ["ignore", "ignore", "inherit"],
		timeout: limits.benchTimeoutMs,
	});
	const end = () => child.kill("SIGTERM");
	signal.addEventListener("abort", end);
	try {
		const code = await new Promise<number | null>((resolve, reject) => {
			child.once("error", reject);
			child.once("exit", resolve);
		});
		signal.throwIfAborted();
		if (code !== 0) throw new Problem("the benchmarks did not come to their end");
	} finally {
		signal.removeEventListener("abort", end);
	}
}

/** null for a scenario that there is not. */
async function runLoad(
	{ scenario: name, sizes }: Measured<"load">,
	step: string,
	{ onStep, onProgress, signal }: MeasureOptions,
): Promise<LoadResult | null> {
	const all: Readonly<Record<string, Scenario>> = scenarios;
	const scenario = all[name];
	if (!scenario) return null;
	onStep(`${step}: npm run load -- ${name}`);
	const target = await ownTarget({ signal });
	try {
		return await runScenario(scenario, {
			...{ target, sizes, signal, command: "npm run validate" },
			onProgress: ({ seconds, phase }) => onProgress(`${name}: ${phase}, ${Math.round(seconds)} s`),
		});
	} finally {
		await target.stop();
	}
}

/**
 * What the service's isolate does while a scenario runs: a CPU profile, a flame graph, a heap snapshot,
 * and tables of the heaviest functions and of the phases of a request.
 * `npm run profile -- [SCENARIO] [--seconds N] [--rate N] [--users N] [--interval US] [--out DIR]`
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Scenario, Sizes } from "../loadtests/scenario.ts";
import { scenarios as loadScenarios } from "../loadtests/scenarios/index.ts";
import { wholeNumber } from "../local/options.ts";
import { Problem, runCommand } from "../local/problem.ts";
import { showProgress } from "../local/progress.ts";
import { onEndRequest } from "../local/signals.ts";
import { type Capture, capture } from "./capture.ts";
import { flamePage } from "./flame.ts";
import { limits } from "./limits.ts";
import { formatReport, makeReport } from "./report.ts";
import { sign } from "./sign.ts";

const scenarios: Readonly<Record<string, Scenario>> = { [sign.name]: sign, ...loadScenarios };

const usage = `npm run profile -- [SCENARIO] [--seconds N] [--rate N] [--users N] [--interval US] [--out DIR]

Runs a scenario on a stack of its own and profiles the service's isolate from outside.
  SCENARIO      ${Object.keys(scenarios).join(", ")}; ${sign.name} by default
  --seconds N   how long the measured part takes; at most ${limits.secondsDefault} by default
  --rate N      requests a second, where the scenario has a rate
  --users N     callers at once, where the scenario has users
  --interval US microseconds between two samples; ${limits.intervalUsDefault} by default
  --out DIR     where the files go; profile/results/SCENARIO by default

It writes flame.html (open it in a browser), cpu.cpuprofile and heap.heapsnapshot (open them in a
browser's developer tools) and report.json.`;

const optionNames = ["seconds", "rate", "users", "interval", "out"] as const;

/** @throws for what is no such command */
export function readOptions(args: string[]) {
	const text = { type: "string" } as const;
	const options = Object.fromEntries(optionNames.map((name) => [name, text]));
	const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
	const [name = sign.name, ...more] = positionals;
	const scenario = Object.hasOwn(scenarios, name) ? scenarios[name] : undefined;
	if (!scenario || more.length > 0) {
		const known = Object.keys(scenarios).join(", ");
		throw new Problem(`one scenario is profiled, of ${known}; not "${positionals.join(" ")}"`);
	}
	const whole = (flag: (typeof optionNames)[number], least: number, most: number) => {
		const value = values[flag];
		return typeof value === "string" ? wholeNumber(`--${flag}`, value, least, most) : undefined;
	};
	const sizes: Partial<Sizes> = defined({
		seconds:
			whole("seconds", 1, limits.secondsMax) ??
			Math.min(scenario.sizes.seconds, limits.secondsDefault),
		rate: whole("rate", 1, limits.ratePerSecondMax),
		users: whole("users", 1, limits.usersMax),
	});
	const out = typeof values.out === "string" ? values.out : undefined;
	return {
		scenario,
		sizes,
		intervalUs:
			whole("interval", limits.intervalUsMin, limits.intervalUsMax) ?? limits.intervalUsDefault,
		out: out
			? resolve(process.env.INIT_CWD ?? process.cwd(), out)
			: join(import.meta.dirname, "results", scenario.name),
	};
}

function defined<T extends object>(values: { [Name in keyof T]: T[Name] | undefined }): Partial<T> {
	return Object.fromEntries(
		Object.entries(values).filter(([, value]) => value !== undefined),
	) as Partial<T>;
}

async function main(args: string[]): Promise<void> {
	const { scenario, out, ...settings } = readOptions(args);
	const ending = new AbortController();
	onEndRequest(() => ending.abort(new Problem("stopped before the end; no profile was written")));
	await mkdir(out, { recursive: true });
	try {
		const captured = await capture(scenario, {
			...settings,
			snapshotPath: join(out, "heap.heapsnapshot"),
			command: ["npm run profile", ...(args.length > 0 ? ["--", ...args] : [])].join(" "),
			onStep: showProgress,
			signal: ending.signal,
		});
		showProgress("");
		await write(captured, out);
	} catch (error) {
		// What fails after a request to end fails because of it.
		ending.signal.throwIfAborted();
		throw error;
	} finally {
		showProgress("");
	}
}

async function write(captured: Capture, out: string): Promise<void> {
	const report = makeReport(captured);
	await writeFile(join(out, "cpu.cpuprofile"), JSON.stringify(captured.profile));
	await writeFile(join(out, "report.json"), `${JSON.stringify(report, null, "\t")}\n`);
	await writeFile(join(out, "flame.html"), await flamePage(captured.tree, report));
	console.log(formatReport(report));
	const shown = relative(process.env.INIT_CWD ?? process.cwd(), out);
	console.log(
		`\nOpen ${join(shown, "flame.html")}; beside it are the profile and the heap snapshot.`,
	);
}

if (import.meta.main) await runCommand(main, usage);

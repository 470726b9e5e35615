/**
 * Benchmarks of the service in the local runtime: a table for a person, a JSON file for a program.
 * `npm run bench -- [--only PATTERN] [--quick] [--seconds N] [--json FILE]`
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openDataFolder } from "../local/folder.ts";
import { startGuard } from "../local/guard.ts";
import { wholeNumber } from "../local/options.ts";
import { Problem, runCommand } from "../local/problem.ts";
import { onEndRequest } from "../local/signals.ts";
import { createUndo } from "../local/undo.ts";
import { describeMachine, type Figure, type Report } from "./figures.ts";
import { runHttp } from "./http.ts";
import { runMemory } from "./memory.ts";
import { runMicro } from "./micro.ts";
import type { Plan } from "./plan.ts";
import { formatReport } from "./table.ts";
import type { Ground } from "./workers.ts";

const defaultFile = join(import.meta.dirname, "results", "latest.json");
const usual = { seconds: { micro: 3, http: 48 }, keys: 40 };
const quick = { seconds: { micro: 0.6, http: 18 }, keys: 8 };
const secondsMax = 600;

interface Options {
	readonly file: string;
	readonly pattern: RegExp;
	readonly size: Pick<Plan, "seconds" | "keys">;
}

function readOptions(args: string[]): Options {
	const { values } = parseArgs({
		args,
		options: {
			json: { type: "string" },
			only: { type: "string" },
			seconds: { type: "string" },
			quick: { type: "boolean" },
		},
	});
	const size = values.quick ? quick : usual;
	const seconds = values.seconds && wholeNumber("--seconds", values.seconds, 1, secondsMax);
	return {
		file: values.json ? resolve(process.env.INIT_CWD ?? process.cwd(), values.json) : defaultFile,
		pattern: toPattern(values.only ?? ""),
		size: seconds ? { ...size, seconds: { micro: seconds, http: seconds } } : size,
	};
}

function toPattern(text: string): RegExp {
	try {
		return new RegExp(text, "i");
	} catch {
		throw new Problem(`--only must be a regular expression, and "${text}" is none`);
	}
}

async function main(args: string[]): Promise<void> {
	const { file, pattern, size } = readOptions(args);
	const ending = new AbortController();
	onEndRequest(() => ending.abort(new Problem("stopped before the end; nothing was written")));
	const machine = describeMachine();
	const at = new Date().toISOString();
	const figures: Figure[] = [];
	const plan: Plan = {
		...size,
		wants: (id) => pattern.test(id),
		progress: showProgress,
		done: (figure) => figures.push(figure),
		signal: ending.signal,
	};
	try {
		await onFreshGround(async (ground) => {
			await runMicro(plan, ground);
			await runHttp(plan, ground);
			await runMemory(plan, ground);
		});
	} catch (error) {
		// What fails after a request to end fails because of it.
		ending.signal.throwIfAborted();
		throw error;
	} finally {
		showProgress("");
	}
	if (figures.length === 0) throw new Problem(`no figure has an id like "${pattern.source}"`);
	const command = ["npm run bench", ...(args.length > 0 ? ["--", ...args] : [])].join(" ");
	const report: Report = { version: 1, at, command, machine, figures };
	await mkdir(dirname(file), { recursive: true });
	await writeFile(file, `${JSON.stringify(report, null, "\t")}\n`);
	console.log(formatReport(report));
	console.log(`\nWritten to ${file}`);
}

/** A data folder of its own in the system's place for such; it and all that runs on it go in the end. */
async function onFreshGround(work: (ground: Ground) => Promise<void>): Promise<void> {
	const path = await mkdtemp(join(tmpdir(), "edgesign-bench-"));
	const undo = createUndo();
	try {
		const folder = openDataFolder(path);
		undo.add(folder.release);
		const guard = startGuard();
		undo.add(guard.stop);
		await work({ folder, guard, undo });
	} finally {
		await undo.run();
		await rm(path, { recursive: true, force: true });
	}
}

/** One line that is written over; only where a person looks on. */
function showProgress(line: string): void {
	if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${line.slice(0, 100)}`);
}

if (import.meta.main) await runCommand(main);

/**
 * Every numeric target of the product beside what is measured now: a table for a person, a JSON file for
 * a program. `npm run validate -- [--all] [--only PATTERN] [--bench FILE] [--json FILE]`
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine } from "../bench/figures.ts";
import { checkWritable, writeReport } from "../bench/report-file.ts";
import { Problem, runCommand } from "../local/problem.ts";
import { showProgress } from "../local/progress.ts";
import { onEndRequest } from "../local/signals.ts";
import { type Judged, judge, passes, shown } from "./judge.ts";
import { measure } from "./measure.ts";
import { targets } from "./targets.ts";

const usage = `npm run validate -- [--all] [--only PATTERN] [--bench FILE] [--json FILE]

Measures every numeric target and says whether it is met; about eight minutes.
  --all           what is not built yet counts as missed
  --only PATTERN  targets whose row or text matches, a regular expression: S6, 'issue 5', memory
  --bench FILE    figures of a run of npm run bench -- --json FILE, in the place of a short one
  --json FILE     where the JSON goes; validate/results/latest.json by default

Exit code 1 when one is missed.`;

const fromCaller = (path: string) => resolve(process.env.INIT_CWD ?? process.cwd(), path);

function readOptions(args: string[]) {
	const { values } = parseArgs({
		args,
		options: {
			all: { type: "boolean", default: false },
			only: { type: "string" },
			bench: { type: "string" },
			json: { type: "string" },
		},
	});
	const chosen = choose(values.only ?? "");
	if (chosen.length === 0) throw new Problem(`no target has a row or a text like "${values.only}"`);
	return {
		all: values.all,
		chosen,
		benchFile: values.bench === undefined ? undefined : fromCaller(values.bench),
		file:
			values.json === undefined
				? join(import.meta.dirname, "results", "latest.json")
				: fromCaller(values.json),
	};
}

function choose(text: string) {
	try {
		const pattern = new RegExp(text, "i");
		return targets.filter((target) => pattern.test(target.row) || pattern.test(target.text));
	} catch {
		throw new Problem(`--only must be a regular expression, and "${text}" is none`);
	}
}

async function main(args: string[]): Promise<void> {
	const { all, chosen, benchFile, file } = readOptions(args);
	await checkWritable(file);
	const ending = new AbortController();
	onEndRequest(() => ending.abort(new Problem("stopped before the end; nothing was written")));
	const { signal } = ending;
	const at = new Date().toISOString();
	const machine = describeMachine();
	const measurements = await measure(chosen, {
		...{ benchFile, signal, onProgress: showProgress },
		onStep: (line) => {
			showProgress("");
			console.error(line);
		},
	}).catch((error) => {
		signal.throwIfAborted(); // what fails after a request to end fails because of it
		throw error;
	});
	showProgress("");
	const judged = chosen.map((target) => judge(target, measurements));
	const passed = passes(judged, all);
	const command = ["npm run validate", ...(args.length > 0 ? ["--", ...args] : [])].join(" ");
	const report = { version: 1, at, command, machine, passed, targets: judged };
	console.log(formatTable(judged));
	await writeReport(file, report);
	console.log(`\nWritten to ${file}`);
	if (!passed) process.exitCode = 1;
}

export function formatTable(judged: readonly Judged[]): string {
	const rows = judged.map(({ row, text, goal, value, unit, verdict, note }) => [
		...[row, text, `${goal} ${unit}`, value === null ? "" : shown(value), verdict, note],
	]);
	const all = [["row", "target", "goal", "measured", "verdict", "by"], ...rows];
	const widths = (all[0] ?? []).map((_, column) =>
		Math.max(...all.map((row) => row[column]?.length ?? 0)),
	);
	const lines = all.map((row) =>
		row
			.map((cell, column) => cell.padEnd(widths[column] ?? 0))
			.join("  ")
			.trimEnd(),
	);
	const counts = Map.groupBy(judged, ({ verdict }) => verdict);
	const sum = [...counts].map(([verdict, { length }]) => `${length} ${verdict}`).join(", ");
	return [...lines, "", sum].join("\n");
}

if (import.meta.main) await runCommand(main, usage);

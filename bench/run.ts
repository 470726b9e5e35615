/** Benchmarks of the service in the local runtime: a table for a person, a JSON file for a program. */
import { join } from "node:path";
import { Problem, runCommand } from "../local/problem.ts";
import { showProgress } from "../local/progress.ts";
import { onEndRequest } from "../local/signals.ts";
import { runCache } from "./cache.ts";
import { compareWithItself, compareWithPlanted, compareWithRevision } from "./comparisons.ts";
import { runEconomies } from "./economies.ts";
import { describeMachine, type Figure, type Report } from "./figures.ts";
import { onFreshGround } from "./ground.ts";
import { appendRun, defaultHistory, readHistory, runOf } from "./history.ts";
import { runHttp } from "./http.ts";
import { runLeaks } from "./leaks.ts";
import { runMemory } from "./memory.ts";
import { runMicro } from "./micro.ts";
import { type Options, readOptions, usage } from "./options.ts";
import type { Plan } from "./plan.ts";
import { runQueries } from "./queries.ts";
import { checkWritable, writeReport } from "./report-file.ts";
import { formatReport } from "./table.ts";
import { formatTrends } from "./trends.ts";
import type { Ground } from "./workers.ts";

const results = join(import.meta.dirname, "results");

async function main(args: string[]): Promise<void> {
	const options = readOptions(args);
	if (options.command === "history") {
		console.log(formatTrends(await readHistory(defaultHistory), options.pattern));
		return;
	}
	const command = ["npm run bench", ...(args.length > 0 ? ["--", ...args] : [])].join(" ");
	const file = options.file ?? join(results, `${resultName(options)}.json`);
	await checkWritable(file);
	const report = await measure(options, command);
	console.log(formatReport(report));
	await writeReport(file, report);
	console.log(`\nWritten to ${file}`);
	if (options.record) {
		await appendRun(defaultHistory, await runOf(report));
		console.log(`Recorded in ${defaultHistory}`);
	}
	if (!isAsExpected(options, report.figures)) process.exitCode = 1;
}

function resultName({ command, against }: Options): string {
	if (against !== null) return "against";
	return command === "measure" ? "latest" : command;
}

/** Of the comparisons; a run that only measures has nothing to expect. */
function isAsExpected({ command, against }: Options, figures: readonly Figure[]): boolean {
	const verdicts = figures.flatMap(({ verdict }) => verdict ?? []);
	if (command === "aa") return verdicts.every((verdict) => verdict === "no difference");
	if (command === "planted") return verdicts[0] === "slower";
	return against === null || !verdicts.includes("slower");
}

async function measure(options: Options, command: string): Promise<Report> {
	const ending = new AbortController();
	onEndRequest(() => ending.abort(new Problem("stopped before the end; nothing was written")));
	const machine = describeMachine();
	const at = new Date().toISOString();
	const figures: Figure[] = [];
	const plan: Plan = {
		...options.size,
		wants: (id) => options.pattern.test(id),
		progress: showProgress,
		done: (figure) => figures.push(figure),
		signal: ending.signal,
	};
	try {
		await onFreshGround((ground) => work(options, plan, ground));
	} catch (error) {
		// What fails after a request to end fails because of it.
		ending.signal.throwIfAborted();
		throw error;
	} finally {
		showProgress("");
	}
	if (figures.length === 0) {
		throw new Problem(`no figure has an id like "${options.pattern.source}"`);
	}
	return { version: 1, at, command, machine, figures };
}

async function work(options: Options, plan: Plan, ground: Ground): Promise<void> {
	for (const figure of (await comparisonOf(options, plan, ground)) ?? []) plan.done(figure);
	if (options.command !== "measure" || options.against !== null) return;
	await runCache(plan);
	await runQueries(plan, ground);
	await runMicro(plan, ground);
	await runEconomies(plan, ground);
	await runHttp(plan, ground);
	await runMemory(plan, ground);
	await runLeaks(plan, ground);
}

async function comparisonOf(
	{ command, rounds, percent, against }: Options,
	plan: Plan,
	ground: Ground,
): Promise<Figure[] | null> {
	if (command === "aa") return compareWithItself(plan, ground, rounds);
	if (command === "planted") return compareWithPlanted(plan, ground, rounds, percent);
	return against === null ? null : compareWithRevision(plan, ground, rounds, against);
}

if (import.meta.main) await runCommand(main, usage);

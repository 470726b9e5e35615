/**
 * `npm run load -- SCENARIO`: puts the service under load. See options.ts for the flags, and
 * docs/guides/load-tests.md.
 */
import { Problem, runCommand } from "../local/problem.ts";
import { showProgress } from "../local/progress.ts";
import { onEndRequest } from "../local/signals.ts";
import { makeFolder, nameOf, readResult, writeResults } from "./files.ts";
import { parseThresholds } from "./judge.ts";
import { fromCaller, help, type Options, readOptions, withoutToken } from "./options.ts";
import { comparisonToHtml, formatComparison } from "./report/compare.ts";
import { toHtml } from "./report/html.ts";
import { formatResult } from "./report/text.ts";
import type { LoadResult } from "./results.ts";
import { type Progress, runScenario } from "./run-scenario.ts";
import type { Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { selftest } from "./selftest.ts";
import { ownTarget, remoteTarget } from "./target.ts";
import { threeDigits } from "./thresholds.ts";

function progressLine({ phase, seconds, rate, p50, p95, errors, dropped }: Progress): string {
	const ms = (value: number | null) => (value === null ? "-" : `${threeDigits(value)} ms`);
	return `${Math.round(seconds)} s  ${phase}  ${threeDigits(rate)}/s  p50 ${ms(p50)}  p95 ${ms(p95)}  errors ${errors}  dropped ${dropped}`;
}

function scenarioOf(name: string): Scenario {
	const found = Object.values<Scenario>(scenarios).find((scenario) => scenario.name === name);
	if (found) return found;
	throw new Problem(`there is no scenario "${name}": ${Object.keys(scenarios).join(", ")}`);
}

async function run(name: string, options: Options, command: string): Promise<void> {
	const scenario = scenarioOf(name);
	if (options.thresholds) parseThresholds(scenario, options.thresholds); // before anything is started
	const { url, token, allowRemote, thresholds, seed, connections } = options;
	const baseline = options.baseline === undefined ? null : await readResult(options.baseline);
	await makeFolder(options.out);
	const ending = new AbortController();
	onEndRequest(() => ending.abort(new Problem("stopped before the end; nothing was written")));
	const { signal } = ending;
	showProgress("starting PostgreSQL, the gateways and the worker");
	const target =
		url === undefined ? await ownTarget({ signal }) : remoteTarget(url, token, allowRemote, signal);
	let result: LoadResult;
	try {
		result = await runScenario(scenario, {
			...{ target, command, sizes: options.sizes, signal },
			...(thresholds && { thresholds }),
			...(seed !== undefined && { seed }),
			...(connections !== undefined && { connections }),
			onProgress: (progress) => showProgress(progressLine(progress)),
		});
	} finally {
		showProgress("");
		await target.stop();
	}
	console.log(formatResult(result));
	const files = await writeResults(options.out, nameOf(result), {
		html: toHtml(result, baseline),
		json: `${JSON.stringify(result, null, "\t")}\n`,
	});
	console.log(`\nWritten to ${files.join(" and ")}`);
	if (!result.passed) throw new Problem("a threshold does not hold");
}

async function compare(paths: readonly string[], options: Options): Promise<void> {
	const [one, other, ...rest] = paths.map((path) => fromCaller(path));
	if (one === undefined || other === undefined || rest.length > 0) {
		throw new Problem("usage: npm run load -- compare BEFORE.json AFTER.json");
	}
	const [before, after] = [await readResult(one), await readResult(other)];
	console.log(formatComparison(before, after));
	const name = `compare-${nameOf(before)}-${nameOf(after)}`;
	const files = await writeResults(options.out, name, { html: comparisonToHtml(before, after) });
	console.log(`\nWritten to ${files.join(" and ")}`);
}

function list(): void {
	for (const { name, summary, sizes, thresholds } of Object.values<Scenario>(scenarios)) {
		const users = sizes.users > 0 ? `, ${sizes.users} users` : "";
		const rate = sizes.rate > 0 ? `, ${sizes.rate}/s` : "";
		console.log(`${name}: ${summary} (${sizes.seconds} s${rate}${users})`);
		console.log(`    ${thresholds.join("  ")}`);
	}
}

async function main(args: string[]): Promise<void> {
	const options = readOptions(args);
	const [word, ...rest] = options.words;
	if (options.help || word === undefined) console.log(help);
	else if (word === "compare") await compare(rest, options);
	else if (rest.length > 0)
		throw new Problem(`one scenario at a time, not "${rest.join(" ")}" too`);
	else if (word === "list") list();
	else if (word === "selftest") await selftest();
	else await run(word, options, ["npm run load", "--", ...withoutToken(args)].join(" "));
}

await runCommand(main);

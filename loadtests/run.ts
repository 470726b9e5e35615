/**
 * `npm run load -- SCENARIO`: puts the service under load. See options.ts for the flags, and
 * docs/guides/load-tests.md.
 */
import { Problem, runCommand } from "../local/problem.ts";
import { onEndRequest } from "../local/signals.ts";
import { help, type Options, readOptions } from "./options.ts";
import { type Progress, runScenario } from "./run-scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { ownTarget, remoteTarget } from "./target.ts";
import { threeDigits } from "./thresholds.ts";

/** One line that is written over; only where a person looks on. */
function showProgress(line: string): void {
	if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${line.slice(0, 100)}`);
}

function progressLine({ phase, seconds, rate, p50, p95, errors, dropped }: Progress): string {
	const ms = (value: number | null) => (value === null ? "-" : `${threeDigits(value)} ms`);
	return `${Math.round(seconds)} s  ${phase}  ${threeDigits(rate)}/s  p50 ${ms(p50)}  p95 ${ms(p95)}  errors ${errors}  dropped ${dropped}`;
}

async function run(options: Options, command: string): Promise<void> {
	const [name = ""] = options.words;
	const scenario = Object.hasOwn(scenarios, name) ? scenarios[name] : undefined;
	if (!scenario) {
		throw new Problem(`there is no scenario "${name}": ${Object.keys(scenarios).join(", ")}`);
	}
	const ending = new AbortController();
	onEndRequest(() => ending.abort(new Problem("stopped before the end; nothing was written")));
	const { url, token, allowRemote } = options;
	showProgress("starting PostgreSQL, the gateways and the worker");
	const target =
		url === undefined
			? await ownTarget({ signal: ending.signal })
			: remoteTarget(url, token, allowRemote);
	try {
		const result = await runScenario(scenario, {
			...{ target, command, sizes: options.sizes, signal: ending.signal },
			...(options.thresholds && { thresholds: options.thresholds }),
			...(options.seed !== undefined && { seed: options.seed }),
			...(options.connections !== undefined && { connections: options.connections }),
			onProgress: (progress) => showProgress(progressLine(progress)),
		});
		showProgress("");
		console.log(JSON.stringify(result.overall, null, "\t"));
		if (!result.passed) throw new Problem("a threshold does not hold");
	} finally {
		showProgress("");
		await target.stop();
	}
}

async function main(args: string[]): Promise<void> {
	const options = readOptions(args);
	if (options.help || options.words.length === 0) console.log(help);
	else await run(options, ["npm run load", "--", ...args].join(" "));
}

await runCommand(main);

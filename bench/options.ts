import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { wholeNumber } from "../local/options.ts";
import { Problem } from "../local/problem.ts";
import type { Plan } from "./plan.ts";

export const usage = `npm run bench -- [COMMAND] [FLAGS]

  (none)         measures the service, beside bare libraries and beside what a team would build in its place
  --against REV  compares this project with another revision of it, e.g. HEAD~1; exit code 1 where it is slower
  aa             compares the service with itself; exit code 1 for a false alarm
  planted        compares the service with one that is 5 % slower; exit code 1 when that is not found
  history        shows the recorded runs, and where their figures changed for good

  --only PATTERN figures whose id is like the regular expression
  --quick        shorter, for a look; --seconds N for each figure
  --requests N   of the soak that the slope of the heap is measured over, for memory; as long as --seconds if not told
  --rows N       records of the audit log, for audit/scale
  --rounds N     of a comparison (aa and planted: 50, --against: 20)
  --percent N    of a sign request's processor time, for planted
  --record       appends the run to bench/history
  --json FILE    where the figures go, bench/results/latest.json if not told`;

const commands = ["measure", "aa", "planted", "history"] as const;
const usual = { seconds: { micro: 3, http: 48 }, keys: 40, rows: 200_000 };
const quick = { seconds: { micro: 0.6, http: 18 }, keys: 8, rows: 40_000 };
/** Fewer give a slope that says nothing for 10,000. */
const requestsMin = 50_000;
const requestsMax = 1_000_000_000;
const rowsMin = 10_000;
const rowsMax = 100_000_000;
const secondsMax = 600;
const roundsUsual = { aa: 50, planted: 50, measure: 20, history: 0 };
const roundsMax = 1_000;
const percentUsual = 5;
const percentMax = 100;

export interface Options {
	readonly command: (typeof commands)[number];
	/** null for the usual place of the command. */
	readonly file: string | null;
	readonly pattern: RegExp;
	readonly size: Pick<Plan, "seconds" | "keys" | "rows" | "requests">;
	/** A name of git's. */
	readonly against: string | null;
	readonly rounds: number;
	readonly percent: number;
	readonly record: boolean;
}

export function readOptions(args: string[]): Options {
	const { values, positionals } = parseArgs({
		args,
		allowPositionals: true,
		options: {
			json: { type: "string" },
			only: { type: "string" },
			seconds: { type: "string" },
			requests: { type: "string" },
			rows: { type: "string" },
			quick: { type: "boolean" },
			against: { type: "string" },
			rounds: { type: "string" },
			percent: { type: "string" },
			record: { type: "boolean" },
		},
	});
	const command = commandOf(positionals);
	const { against = null, record = false } = values;
	if (against !== null && command !== "measure") {
		throw new Problem(`--against is a command of its own, and ${command} is another`);
	}
	if (record && (command !== "measure" || against !== null)) {
		throw new Problem("--record keeps what the service measures, not comparisons");
	}
	return {
		command,
		file:
			values.json === undefined
				? null
				: resolve(process.env.INIT_CWD ?? process.cwd(), values.json),
		pattern: toPattern(values.only ?? ""),
		size: sizeOf(values),
		against,
		rounds:
			values.rounds === undefined
				? roundsUsual[command]
				: wholeNumber("--rounds", values.rounds, 1, roundsMax),
		percent:
			values.percent === undefined
				? percentUsual
				: wholeNumber("--percent", values.percent, 1, percentMax),
		record,
	};
}

interface SizeFlags {
	readonly quick?: boolean;
	readonly seconds?: string;
	readonly requests?: string;
	readonly rows?: string;
}

function sizeOf(flags: SizeFlags): Options["size"] {
	const size = flags.quick ? quick : usual;
	const number = (name: "seconds" | "requests" | "rows", min: number, max: number) =>
		flags[name] === undefined ? null : wholeNumber(`--${name}`, flags[name], min, max);
	const seconds = number("seconds", 1, secondsMax);
	return {
		...size,
		seconds: seconds === null ? size.seconds : { micro: seconds, http: seconds },
		requests: number("requests", requestsMin, requestsMax),
		rows: number("rows", rowsMin, rowsMax) ?? size.rows,
	};
}

function commandOf([name = "measure", ...more]: readonly string[]): Options["command"] {
	const command = commands.find((one) => one === name);
	if (!command || more.length > 0) {
		const known = commands.slice(1).join(", ");
		throw new Problem(`bench has the commands ${known}, not "${[name, ...more].join(" ")}"`);
	}
	return command;
}

function toPattern(text: string): RegExp {
	try {
		return new RegExp(text, "i");
	} catch {
		throw new Problem(`--only must be a regular expression, and "${text}" is none`);
	}
}

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { wholeNumber } from "../local/options.ts";
import { Problem } from "../local/problem.ts";
import { limits } from "./limits.ts";
import type { Sizes } from "./scenario.ts";

/** What a run was asked for by its flags. */
export interface Options {
	/** The scenario, or another command with what follows it. */
	readonly words: readonly string[];
	readonly sizes: Partial<Sizes>;
	/** In the place of the scenario's own; none given leaves those. */
	readonly thresholds: readonly string[] | undefined;
	readonly url: string | undefined;
	readonly token: string | undefined;
	readonly allowRemote: boolean;
	readonly connections: number | undefined;
	readonly seed: number | undefined;
	/** Paths are made absolute, from where npm was called. */
	readonly baseline: string | undefined;
	readonly out: string | undefined;
	readonly help: boolean;
}

export const help = `npm run load -- SCENARIO [flags]
npm run load -- compare BEFORE.json AFTER.json [--out DIR]
npm run load -- selftest
npm run load -- list

Puts the service under load, prints what came of it, and writes a page (HTML) and JSON into
loadtests/results. Exits with 1 where a threshold does not hold.
  --rate N           requests per second
  --seconds N        of the measured part, or of each of its phases
  --users N          of the scenario users, the batches at once of jobs
  --threshold EXPR   in the place of the scenario's own; may be given again:
                     p95<50ms  errors<0.1%  rate>1000/s  sign:p99<100ms  "p95<50ms @after"
  --url URL          a service that runs already, on this machine; else a stack of its own is started
  --token TOKEN      an admin's, for --url; or EDGESIGN_TOKEN
  --allow-remote     lets --url name another machine
  --connections N    for requests on a schedule; 512 by default
  --seed N           the order of requests and the pauses of users; 1 by default
  --baseline FILE    the JSON of an earlier run, shown beside this one
  --out DIR          where the results go`;

const flags = {
	rate: { type: "string" },
	seconds: { type: "string" },
	users: { type: "string" },
	threshold: { type: "string", multiple: true },
	url: { type: "string" },
	token: { type: "string" },
	"allow-remote": { type: "boolean", default: false },
	connections: { type: "string" },
	seed: { type: "string" },
	baseline: { type: "string" },
	out: { type: "string" },
	help: { type: "boolean", short: "h", default: false },
} as const;

const seedMax = 999_999_999;

/** @throws Problem that names the rule */
export function readOptions(args: string[]): Options {
	const { values, positionals } = parseArgs({ args, options: flags, allowPositionals: true });
	const path = (given: string | undefined) => (given === undefined ? undefined : fromCaller(given));
	const number = (name: "connections" | "seed", least: number, most: number) =>
		values[name] === undefined ? undefined : wholeNumber(`--${name}`, values[name], least, most);
	return {
		words: positionals,
		sizes: readSizes(values),
		thresholds: values.threshold,
		url: values.url,
		token: values.token ?? process.env.EDGESIGN_TOKEN,
		allowRemote: values["allow-remote"],
		connections: number("connections", 1, limits.connectionsMax),
		seed: number("seed", 0, seedMax),
		baseline: path(values.baseline),
		out: path(values.out),
		help: values.help,
	};
}

/** A path as it was meant where npm was called. */
export function fromCaller(path: string): string {
	return resolve(process.env.INIT_CWD ?? process.cwd(), path);
}

/** The arguments as a report may show them. */
export function withoutToken(args: readonly string[]): string[] {
	return args.map((arg, index) => {
		if (args[index - 1] === "--token") return "...";
		return arg.startsWith("--token=") ? "--token=..." : arg;
	});
}

const sizeFlags = {
	rate: limits.ratePerSecondMax,
	seconds: limits.secondsMax,
	users: limits.usersMax,
} as const;

function readSizes(values: Partial<Record<keyof Sizes, string | undefined>>): Partial<Sizes> {
	const given = (Object.keys(sizeFlags) as (keyof Sizes)[]).flatMap((name) => {
		const text = values[name];
		return text === undefined ? [] : [[name, number(`--${name}`, text, sizeFlags[name])] as const];
	});
	return Object.fromEntries(given);
}

/** A number above 0; a fraction is one too: a request every two seconds is a rate. */
function number(name: string, text: string, most: number): number {
	const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
	if (value > 0 && value <= most) return value;
	throw new Problem(`${name} must be a number above 0, up to ${most}, not "${text}"`);
}

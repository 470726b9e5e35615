import type { Figure } from "../bench/figures.ts";
import type { LoadResult } from "../loadtests/results.ts";
import type { Sizes } from "../loadtests/scenario.ts";

/** What one figure or one load test says of a target. */
export interface Finding {
	readonly value: number;
	/** Which figure it is, of several, or what else a reader has to know. */
	readonly note: string;
}

/** Figures of `npm run bench`; of several the one that is farthest on the wrong side decides. */
interface FromBench {
	readonly by: "bench";
	/** What is run for it: a part of --only. */
	readonly run: string;
	/** Ids of figures. */
	readonly of: RegExp;
	/** NaN where the figure has no such value. */
	readonly value: (figure: Figure) => number;
}

/** A scenario of `npm run load`, with its own thresholds. */
interface FromLoad {
	readonly by: "load";
	readonly scenario: string;
	readonly sizes: Partial<Sizes>;
	readonly finding: (result: LoadResult) => Finding;
}

/** There is nothing yet that could be measured. */
interface NotBuilt {
	readonly by: "nothing";
	readonly needs: string;
}

export interface Target {
	/** The row of the requirements, or the issue, that asks for it. */
	readonly row: string;
	readonly text: string;
	readonly goal: {
		readonly is: "below" | "above" | "at least" | "at most";
		readonly value: number;
	};
	readonly unit: string;
	readonly from: FromBench | FromLoad | NotBuilt;
}

const p95 = ({ percentiles }: Figure) => percentiles?.p95 ?? Number.NaN;
const value = ({ value }: Figure) => value;
const ratio = ({ beside }: Figure) => beside?.ratio.median ?? Number.NaN;
/** Of one operation, by how many there are in a second. */
const millisecondsEach = ({ value }: Figure) => 1000 / value;
const mebibytes = ({ value }: Figure) => value / 2 ** 20;

/** How many there were at once, if every threshold held with as many. */
function usersServed({ sizes, passed, overall, thresholds }: LoadResult): Finding {
	const broken = thresholds.filter(({ holds, decides }) => decides && !holds);
	const latency = `p95 ${overall.latency?.p95.toFixed(1)} ms, ${overall.errors} errors`;
	const note = broken.map(({ text, shown }) => `${text} is ${shown}`).join(", ");
	return { value: passed ? sizes.users : 0, note: note === "" ? latency : note };
}

/** From the return of what was away until all is as before; the longest of all that were. */
function recovered({ figures }: LoadResult): Finding {
	const found = figures.find(({ name }) => name === "recovery");
	return { value: (found?.value ?? Number.NaN) / 1000, note: found?.text ?? "not measured" };
}

/**
 * The numeric targets of speed, size and memory that are measured by the clock or the machine, and what shows
 * them. What is counted exactly, such as what leases waste, is held by tests.
 */
export const targets: readonly Target[] = [
	{
		row: "S6",
		text: "a key is made",
		goal: { is: "below", value: 100 },
		unit: "ms (p95)",
		// RSA is made ahead: what a caller waits for is the stock.
		from: {
			by: "bench",
			run: "^generate/(?![RP]S)|^http/create",
			of: /^generate\/(?![RP]S)|^http\/create\/.*\/stocked$/,
			value: p95,
		},
	},
	{
		row: "S6",
		text: "an ECDSA operation",
		goal: { is: "below", value: 10 },
		unit: "ms",
		from: {
			by: "bench",
			run: "^micro/ES",
			of: /^micro\/ES\w+\/(digest\/)?(sign|verify)$/,
			value: millisecondsEach,
		},
	},
	{
		row: "S6",
		text: "an EdDSA operation",
		goal: { is: "below", value: 5 },
		unit: "ms",
		from: {
			by: "bench",
			run: "^micro/Ed25519",
			of: /^micro\/Ed25519\/(sign|verify)$/,
			value: millisecondsEach,
		},
	},
	{
		row: "S6",
		text: "an API request, everyday traffic",
		goal: { is: "below", value: 50 },
		unit: "ms (p95)",
		from: {
			by: "load",
			scenario: "steady",
			sizes: { rate: 500, seconds: 20 },
			finding: ({ overall, sizes }) => ({
				value: overall.latency?.p95 ?? Number.NaN,
				note: `at ${sizes.rate}/s, ${overall.errors} errors`,
			}),
		},
	},
	{
		row: "S6",
		text: "signatures a second over HTTP, in batches",
		goal: { is: "above", value: 10_000 },
		unit: "operations/s",
		from: { by: "bench", run: "^http/batch", of: /^http\/batch\/1000$/, value },
	},
	{
		row: "S6",
		text: "memory of the whole runtime",
		goal: { is: "below", value: 1000 ** 3 / 2 ** 20 },
		unit: "MiB resident",
		from: { by: "bench", run: "^memory", of: /^memory\/peak$/, value: mebibytes },
	},
	{
		row: "S6",
		text: "memory of the isolate under load",
		goal: { is: "below", value: 128 },
		unit: "MiB",
		from: { by: "bench", run: "^memory", of: /^memory\/heap\//, value: mebibytes },
	},
	{
		row: "M2",
		text: "the isolate's heap grows, for each 10,000 requests",
		goal: { is: "at most", value: 1024 },
		unit: "bytes",
		from: { by: "bench", run: "^memory", of: /^memory\/slope$/, value },
	},
	{
		row: "C1",
		text: "reads that a cache with room for three quarters of the names hits (Zipf 0.99)",
		goal: { is: "above", value: 95 },
		unit: "%",
		from: { by: "bench", run: "^cache/hit-ratio", of: /^cache\/hit-ratio\/zipf\/75/, value },
	},
	{
		row: "C6",
		text: "the miss-ratio curve beside caches of those sizes",
		goal: { is: "below", value: 2 },
		unit: "points",
		from: { by: "bench", run: "^cache/curve", of: /^cache\/curve\/(zipf|scan)\//, value },
	},
	{
		row: "B3",
		text: "all is as before after Postgres, then Redis, was away",
		goal: { is: "below", value: 10 },
		unit: "s",
		from: { by: "load", scenario: "recovery", sizes: {}, finding: recovered },
	},
	{
		row: "B3",
		text: "users at once, thresholds kept",
		goal: { is: "at least", value: 1_000 },
		unit: "users",
		from: {
			by: "load",
			scenario: "users",
			sizes: { users: 1_000, seconds: 20 },
			finding: usersServed,
		},
	},
	{
		row: "B3",
		text: "jobs at once, thresholds kept",
		goal: { is: "at least", value: 50 },
		unit: "jobs",
		from: { by: "load", scenario: "jobs", sizes: { users: 50, seconds: 20 }, finding: usersServed },
	},
	{
		row: "D3",
		text: "queries of screens and jobs beside their naive form: 30 % less time",
		goal: { is: "at least", value: 1.43 },
		unit: "of it",
		from: { by: "bench", run: "^queries", of: /^queries\//, value: ratio },
	},
	{
		row: "D5",
		text: "connections of the pool, with 20 who ask at once",
		goal: { is: "at least", value: 20 },
		unit: "connections",
		from: { by: "bench", run: "^pool", of: /^pool\/20\/connections$/, value },
	},
	{
		row: "D5",
		text: "connections with the overflow of 30, where none is given back",
		goal: { is: "at least", value: 50 },
		unit: "connections",
		from: { by: "bench", run: "^pool", of: /^pool\/held\/connections$/, value },
	},
	{
		row: "issue 2",
		text: "operations of each algorithm beside the bare library",
		goal: { is: "at least", value: 0.9 },
		unit: "of it",
		from: { by: "bench", run: "^micro/", of: /^micro\/.*\/(sign|verify)$/, value: ratio },
	},
	{
		row: "issue 2",
		text: "a warm Ed25519 signature over HTTP beside an empty route",
		goal: { is: "at least", value: 0.6 },
		unit: "of it",
		from: { by: "bench", run: "^http/sign", of: /^http\/sign$/, value: ratio },
	},
	{
		row: "issue 4",
		text: "what the limits add to a warm request",
		goal: { is: "below", value: 20 },
		unit: "µs",
		from: { by: "bench", run: "limiter", of: /^micro\/limiter$|^limiter\/cpu$/, value },
	},
	{
		row: "issue 5",
		text: "durable signatures beside the same without a log",
		goal: { is: "at least", value: 0.7 },
		unit: "of it",
		from: { by: "bench", run: "^audit/sign", of: /^audit\/sign$/, value: ratio },
	},
	{
		row: "issue 5",
		text: "records a second to Postgres",
		goal: { is: "above", value: 50_000 },
		unit: "records/s",
		from: { by: "bench", run: "^audit/move", of: /^audit\/move$/, value },
	},
	{
		row: "issue 5",
		text: "a first page of a key's records, in Postgres, in R2 and over both",
		goal: { is: "below", value: 1_000 },
		unit: "ms (p95)",
		from: { by: "bench", run: "^audit/scale", of: /^audit\/scale\/page\/\w+\/key$/, value: p95 },
	},
	{
		row: "issue 5",
		text: "memory of either isolate while the log is exported",
		goal: { is: "below", value: 128 },
		unit: "MiB",
		from: {
			by: "bench",
			run: "^audit/scale",
			of: /^audit\/scale\/export\/.*\/heap(\/archive)?$/,
			value: mebibytes,
		},
	},
];

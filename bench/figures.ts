import { cpus, loadavg, release, totalmem, type } from "node:os";
import { type Interval, median, pairedDifference, pairedRatio, percentile } from "./stats.ts";

/** CPU s: a second of the server's processor time, which other work on the machine takes no part of. */
export type Unit =
	| "operations/s"
	| "requests/s"
	| "requests/CPU s"
	| "signatures/s"
	| "records/s"
	| "bytes"
	| "ms"
	| "µs"
	| "%"
	| "points"
	| "calls"
	| "connections"
	| "objects"
	| "kinds";

/** Of a unit's figures, whether less is better; of the others more is. */
export const lessIsBetter: Readonly<Record<Unit, boolean>> = {
	"operations/s": false,
	"requests/s": false,
	"requests/CPU s": false,
	"signatures/s": false,
	"records/s": false,
	bytes: true,
	ms: true,
	µs: true,
	"%": false, // of hits
	points: true,
	calls: true,
	connections: true,
	objects: true,
	kinds: true,
};

/** One measured line: what the table prints and the JSON keeps. */
export interface Figure {
	/** The same in every run, so that runs can be compared: `micro/Ed25519/sign`. */
	readonly id: string;
	readonly unit: Unit;
	/** The median of the samples. */
	readonly value: number;
	readonly samples: number;
	/** Of the value, where that is the median of differences. */
	readonly interval?: Interval;
	readonly percentiles?: Readonly<Record<string, number>>;
	/** What ran in turn with it, and the ratio of the two: above 1 is faster than `beside`. */
	readonly beside?: { readonly name: string; readonly value: number; readonly ratio: Interval };
	readonly goal?: Goal;
	/** Of a comparison of two builds of the service. */
	readonly verdict?: Verdict;
	/** What a reader of the number has to know. */
	readonly notes?: readonly string[];
}

/** Whether one side is slower than what stands beside it, beyond doubt. */
export type Verdict = "no difference" | "slower" | "faster" | "too few rounds";

export interface Goal {
	readonly text: string;
	/** By the value measured. `sure` when the whole interval says the same. */
	readonly met: boolean;
	readonly sure: boolean;
}

/** Rates that were measured in pairs, with a goal for their ratio. */
export function pairedFigure(
	line: Pick<Figure, "id" | "unit" | "notes">,
	values: readonly number[],
	beside: { readonly name: string; readonly values: readonly number[] },
	leastRatio?: number,
): Figure {
	const ratio = pairedRatio(values, beside.values);
	return {
		...line,
		value: median(values),
		samples: values.length,
		beside: { name: beside.name, value: median(beside.values), ratio },
		...(leastRatio !== undefined && { goal: ratioGoal(ratio, leastRatio) }),
	};
}

function ratioGoal({ median: middle, low, high }: Interval, least: number): Goal {
	const met = middle >= least;
	return { text: `>= ${least}`, met, sure: met ? low >= least : high < least };
}

/** By how much more one takes than the other, measured in pairs, with a goal that it has to stay below. */
export function differenceFigure(
	line: Pick<Figure, "id" | "unit" | "notes">,
	values: readonly number[],
	beside: { readonly name: string; readonly values: readonly number[] },
	below?: number,
): Figure {
	const interval = pairedDifference(values, beside.values);
	const { median: middle, low, high } = interval;
	const met = below !== undefined && middle < below;
	return {
		...line,
		value: middle,
		samples: values.length,
		interval,
		beside: {
			name: beside.name,
			value: median(beside.values),
			ratio: pairedRatio(beside.values, values),
		},
		...(below !== undefined && {
			goal: { text: `< ${below}`, met, sure: met ? high < below : low >= below },
		}),
	};
}

const shares = { p50: 0.5, p95: 0.95, p99: 0.99 } as const;

/** Times in milliseconds, with a goal that their p95 has to stay below. */
export function timeFigure(
	line: Pick<Figure, "id" | "notes">,
	milliseconds: readonly number[],
	names: readonly (keyof typeof shares)[],
	p95BelowMs?: number,
): Figure {
	const p95 = percentile(milliseconds, shares.p95);
	return {
		...line,
		unit: "ms",
		value: median(milliseconds),
		samples: milliseconds.length,
		percentiles: Object.fromEntries(
			names.map((name) => [name, percentile(milliseconds, shares[name])]),
		),
		...(p95BelowMs !== undefined && {
			goal: { text: `p95 < ${p95BelowMs}`, met: p95 < p95BelowMs, sure: true },
		}),
	};
}

export interface Report {
	/** Raised when a reader of older files would misread this one. */
	readonly version: 1;
	readonly at: string;
	readonly command: string;
	readonly machine: Machine;
	readonly figures: readonly Figure[];
}

interface Machine {
	readonly processor: string;
	readonly cores: number;
	readonly memoryGiB: number;
	readonly system: string;
	readonly node: string;
	/** Of the last minute, when the run began: above 0 something else was at work. */
	readonly loadBefore: number;
}

export function describeMachine(): Machine {
	return {
		processor: cpus()[0]?.model.trim() ?? "unknown",
		cores: cpus().length,
		memoryGiB: Math.round(totalmem() / 2 ** 30),
		system: `${type()} ${release()}`,
		node: process.version,
		loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
	};
}

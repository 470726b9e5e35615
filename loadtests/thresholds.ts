import { Problem } from "../local/problem.ts";
import type { Histogram } from "./generator/histogram.ts";
import type { Summary } from "./timeline.ts";

type Dimension = "time" | "share" | "rate" | "number";

/** A condition that a run has to meet: `p95<50ms`, `errors<0.1%`, `sign:p99<100ms @after`. */
export interface Threshold {
	readonly text: string;
	/** A kind of request; null for all that are not hostile. */
	readonly kind: string | null;
	readonly metric: string;
	readonly operator: keyof typeof operators;
	/** Milliseconds, a share of 1, a rate per second, or a plain number. */
	readonly bound: number;
	readonly dimension: Dimension;
	/** The metric is one that only this scenario has. */
	readonly isFigure: boolean;
	/** A phase; null for every one that is measured. */
	readonly phase: string | null;
}

const operators = {
	"<": (value: number, bound: number) => value < bound,
	"<=": (value: number, bound: number) => value <= bound,
	">": (value: number, bound: number) => value > bound,
	">=": (value: number, bound: number) => value >= bound,
} as const;

const units: Readonly<Record<string, readonly [Dimension, number]>> = {
	us: ["time", 0.001],
	µs: ["time", 0.001],
	ms: ["time", 1],
	s: ["time", 1000],
	"%": ["share", 0.01],
	"/s": ["rate", 1],
	"": ["number", 1],
};

/** What can be asked of a summary, beside percentiles (`p99.9`) and statuses (`429`). */
const metrics: Readonly<Record<string, readonly [Dimension, (summary: Summary) => number]>> = {
	mean: ["time", ({ latency }) => latency?.mean ?? Number.NaN],
	max: ["time", ({ latency }) => latency?.max ?? Number.NaN],
	errors: ["share", ({ errors, offered }) => errors / offered],
	dropped: ["share", ({ dropped, offered }) => dropped / offered],
	rate: ["rate", ({ rate }) => rate],
};

const form =
	/^(?:(?<kind>[a-z][\w-]*):)?(?<metric>[a-z][\w.-]*|[1-5]\d\d)(?<operator><=?|>=?)(?<bound>\d+(?:\.\d+)?)(?<unit>us|µs|ms|s|%|\/s|)(?:@(?<phase>[\w.-]+))?$/;

const grammar =
	'[KIND:]METRIC OPERATOR NUMBER UNIT [@PHASE], as in "p95<50ms", "errors<0.1%", "sign:p99<100ms", "rate>1000/s", "attack:429>10% @attack"';

/** @param figures what the scenario itself finds out (`recovery`, `knee`), by name with its dimension */
export function parseThreshold(
	text: string,
	figures: Readonly<Record<string, Dimension>> = {},
): Threshold {
	const found = form.exec(text.replaceAll(/\s+/g, ""))?.groups;
	if (!found) throw new Problem(`the threshold "${text}" is not of the form ${grammar}`);
	const { kind, metric = "", operator = "", bound, unit = "", phase } = found;
	const isFigure = Object.hasOwn(figures, metric);
	if (isFigure && (kind ?? phase) !== undefined) {
		throw new Problem(
			`the threshold "${text}" is about ${metric}, which is of the whole run: it has no kind and no phase`,
		);
	}
	const expected = isFigure ? figures[metric] : dimensionOf(metric);
	if (!expected) {
		const names = ["p50 to p99.999", ...Object.keys(metrics), "a status", ...Object.keys(figures)];
		throw new Problem(`the threshold "${text}" asks for "${metric}"; there is ${names.join(", ")}`);
	}
	const [dimension, factor] = units[unit] ?? ["number", 1];
	if (dimension !== expected) {
		throw new Problem(`the threshold "${text}" must have ${unitNames[expected]}`);
	}
	return {
		text,
		kind: kind ?? null,
		metric,
		operator: operator as keyof typeof operators,
		bound: Number(bound) * factor,
		dimension,
		isFigure,
		phase: phase ?? null,
	};
}

const unitNames: Readonly<Record<Dimension, string>> = {
	time: "a time: us, ms or s",
	share: "a share: %",
	rate: "a rate: /s",
	number: "no unit",
};

function dimensionOf(metric: string): Dimension | undefined {
	if (percentileOf(metric) !== null) return "time";
	if (/^[1-5]\d\d$/.test(metric)) return "share";
	return Object.hasOwn(metrics, metric) ? metrics[metric]?.[0] : undefined;
}

function percentileOf(metric: string): number | null {
	const digits = /^p(\d{1,2}(?:\.\d{1,3})?)$/.exec(metric)?.[1];
	return digits === undefined ? null : Number(digits) / 100;
}

/** What a threshold is held against. */
export interface Sample {
	readonly summary: Summary;
	readonly times: Histogram;
}

/** The measured value in the unit of the bound; NaN where nothing was measured, which holds no threshold. */
export function measuredOf({ metric }: Threshold, { summary, times }: Sample): number {
	const share = percentileOf(metric);
	if (share !== null) return times.percentile(share);
	const found = metrics[metric];
	return found ? found[1](summary) : countOf(metric, summary) / summary.offered;
}

/** Of a status, whatever its code. */
function countOf(status: string, { outcomes }: Summary): number {
	return Object.entries(outcomes).reduce(
		(sum, [what, count]) => (what.split(" ")[0] === status ? sum + count : sum),
		0,
	);
}

export function holds({ operator, bound }: Threshold, value: number): boolean {
	return operators[operator](value, bound);
}

/** A value for a person: `12.3 ms`, `0.05 %`, `1,204 /s`. */
export function formatValue(dimension: Dimension, value: number): string {
	if (Number.isNaN(value)) return "nothing measured";
	if (dimension === "share") return `${threeDigits(value * 100)} %`;
	if (dimension === "rate") return `${threeDigits(value)} /s`;
	if (dimension === "number") return threeDigits(value);
	return value >= 10_000 ? `${threeDigits(value / 1000)} s` : `${threeDigits(value)} ms`;
}

/** Three digits that count; whole numbers from 100 up, with thousands apart. */
export function threeDigits(value: number): string {
	const magnitude = Math.abs(value);
	if (magnitude >= 100) return Math.round(value).toLocaleString("en-US");
	if (magnitude >= 10) return value.toFixed(1);
	return magnitude === 0 ? "0" : value.toFixed(magnitude >= 1 ? 2 : 3);
}

export type { Dimension };

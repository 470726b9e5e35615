import type { Figure } from "../bench/figures.ts";
import type { LoadResult } from "../loadtests/results.ts";
import type { Finding, Target } from "./targets.ts";

export type Verdict = "met" | "missed" | "not built" | "not measured";

/** A target with what was found: a row of the table. */
export interface Judged {
	readonly row: string;
	readonly text: string;
	readonly goal: string;
	/** null where there is no value. */
	readonly value: number | null;
	readonly unit: string;
	readonly verdict: Verdict;
	readonly note: string;
}

/** What was run, as far as it was. */
export interface Measurements {
	readonly figures: readonly Figure[];
	readonly loads: ReadonlyMap<string, LoadResult>;
}

export function judge(target: Target, measurements: Measurements): Judged {
	const { row, text, unit, goal, from } = target;
	const line = { row, text, unit, goal: `${goal.is} ${shown(goal.value)}` };
	if (from.by === "nothing") {
		return { ...line, value: null, verdict: "not built", note: `needs ${from.needs}` };
	}
	const finding = farthest(target, findingsOf(target, measurements));
	if (!finding) return { ...line, value: null, verdict: "not measured", note: whyNot(target) };
	const verdict = keeps(goal, finding.value) ? "met" : "missed";
	return { ...line, ...finding, verdict };
}

/** Whether the whole is as it should be: what is not built yet counts only where `all` is asked for. */
export function passes(judged: readonly Judged[], all: boolean): boolean {
	return judged.every(({ verdict }) => verdict === "met" || (verdict === "not built" && !all));
}

function findingsOf({ from }: Target, { figures, loads }: Measurements): Finding[] {
	if (from.by === "bench") {
		return figures
			.filter(({ id }) => from.of.test(id))
			.map((figure) => ({ value: from.value(figure), note: describe(figure) }));
	}
	const load = from.by === "load" ? loads.get(from.scenario) : undefined;
	return from.by === "load" && load ? [from.finding(load)] : [];
}

/** Which figure it is, and how sure it is. */
function describe({ id, interval, beside, percentiles }: Figure): string {
	const range = interval ?? beside?.ratio;
	return range && !percentiles ? `${id} [${shown(range.low)}, ${shown(range.high)}]` : id;
}

/** Of several findings the one that is farthest on the wrong side, or nearest to it; none where one is no number. */
function farthest({ goal }: Target, findings: readonly Finding[]): Finding | undefined {
	const upwards = goal.is === "above" || goal.is === "at least";
	const sorted = findings.toSorted((a, b) => (upwards ? a.value - b.value : b.value - a.value));
	return findings.every(({ value }) => Number.isFinite(value)) ? sorted[0] : undefined;
}

const comparisons = {
	below: (value: number, limit: number) => value < limit,
	above: (value: number, limit: number) => value > limit,
	"at least": (value: number, limit: number) => value >= limit,
	"at most": (value: number, limit: number) => value <= limit,
} as const;

function keeps({ is, value: limit }: Target["goal"], value: number): boolean {
	return comparisons[is](value, limit);
}

function whyNot({ from }: Target): string {
	return from.by === "load" ? `npm run load -- ${from.scenario}` : "no such figure";
}

/** Three digits that count, thousands apart. */
export function shown(value: number): string {
	const size = Math.abs(value);
	if (size >= 100) return Math.round(value).toLocaleString("en-US");
	return String(Number(value.toPrecision(3)));
}

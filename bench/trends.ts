import { Problem } from "../local/problem.ts";
import { type ChangePoint, findChangePoints } from "../src/benchmark/change-points.ts";
import { lessIsBetter } from "./figures.ts";
import type { RecordedRun } from "./history.ts";

/** The probability that a history without a change shows one, in any of its figures. */
const falseAlarms = 0.05;
const columnsMax = 60;
const bars = "▁▂▃▄▅▆▇█";
/** A ratio is none of the units: more of it is better. */
const costs = new Map<string, boolean>(Object.entries(lessIsBetter));

/** One figure over the runs that have it. */
export interface Trend {
	readonly id: string;
	readonly unit: string;
	/** Ratios where the figure has them: what ran in turn shares the machine's moods. */
	readonly values: readonly number[];
	readonly runs: readonly RecordedRun[];
	readonly changes: readonly ChangePoint[];
}

/** Of the newest run's machine alone: another one would be a change that nobody made. */
export function trendsOf(all: readonly RecordedRun[], pattern: RegExp): Trend[] {
	const machine = all.at(-1)?.machine;
	const runs = all.filter(
		({ machine: { processor, cores } }) =>
			processor === machine?.processor && cores === machine.cores,
	);
	const ids = new Set(runs.flatMap(({ figures }) => Object.keys(figures)));
	return [...ids]
		.filter((id) => pattern.test(id))
		.map((id) => trendOf(id, runs, falseAlarms / ids.size));
}

function trendOf(id: string, all: readonly RecordedRun[], share: number): Trend {
	const unit = all.flatMap(({ figures }) => figures[id]?.unit ?? []).at(-1) ?? "";
	const comparable = all.filter(({ figures }) => figures[id]?.unit === unit);
	const hasRatio = comparable.at(-1)?.figures[id]?.ratio !== undefined;
	const points = comparable.flatMap((run) => {
		const figure = run.figures[id];
		const value = hasRatio ? figure?.ratio : figure?.value;
		return value === undefined ? [] : [{ run, value }];
	});
	const values = points.map(({ value }) => value);
	return {
		id,
		unit: hasRatio ? `ratio (${unit})` : unit,
		values,
		runs: points.map(({ run }) => run),
		changes: findChangePoints(values, { falseAlarms: share }),
	};
}

/** A line drawn for each figure, and what changed in it for good. */
export function formatTrends(all: readonly RecordedRun[], pattern: RegExp): string {
	const trends = trendsOf(all, pattern);
	if (trends.length === 0)
		throw new Problem(`no recorded figure has an id like "${pattern.source}"`);
	const changes = trends.reduce((sum, trend) => sum + trend.changes.length, 0);
	const width = Math.max(...trends.map(({ id }) => id.length));
	return [
		`${all.length} runs, ${trends.length} figures, ${changes} changes`,
		"",
		...trends.flatMap((trend) => formatTrend(trend, width)),
	].join("\n");
}

function formatTrend(trend: Trend, width: number): string[] {
	const { id, unit, values, changes } = trend;
	const last = values.at(-1) ?? 0;
	const head = `${id.padEnd(width)}  ${sparkline(values)}  ${digits(last)} ${unit}`;
	return [head, ...changes.map((change) => `  ${describeChange(trend, change)}`)];
}

/** Each column is the mean of as many values as it stands for. */
export function sparkline(values: readonly number[]): string {
	const columns = Math.min(columnsMax, values.length);
	const means = Array.from({ length: columns }, (_, column) => {
		const part = values.slice(
			Math.floor((column * values.length) / columns),
			Math.floor(((column + 1) * values.length) / columns),
		);
		return part.reduce((sum, value) => sum + value, 0) / part.length;
	});
	const [low, high] = [Math.min(...means), Math.max(...means)];
	const level = (mean: number) =>
		high === low ? 3 : Math.round(((mean - low) / (high - low)) * (bars.length - 1));
	return means.map((mean) => bars[level(mean)]).join("");
}

function describeChange({ unit, runs }: Trend, change: ChangePoint): string {
	const { index, range, before, after, p } = change;
	const isCost = costs.get(unit) ?? false;
	const better = after > before !== isCost;
	const percent = (100 * (after - before)) / Math.abs(before);
	// Of nothing there is no share.
	const share = before === 0 ? "" : ` (${percent > 0 ? "+" : ""}${percent.toFixed(1)} %)`;
	const [first, last] = range.map((at) => nameOf(runs[at]));
	const where = range[0] === range[1] ? "" : `, may be from ${first} to ${last}`;
	const size = `${digits(before)} to ${digits(after)}${share}`;
	return `${better ? "better" : "WORSE"} since ${nameOf(runs[index])}${where}: ${size}, p = ${p.toExponential(0)}`;
}

function nameOf(run: RecordedRun | undefined): string {
	return run ? `${run.commit.slice(0, 7)} of ${run.at.slice(0, 10)}` : "";
}

/** Four digits that count. */
function digits(value: number): string {
	return Number(value.toPrecision(4)).toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

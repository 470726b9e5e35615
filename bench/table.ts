import type { Figure, Report } from "./figures.ts";

const headings = ["figure", "measured", "beside", "ratio [95 % interval]", "goal"];
/** Of comparisons: their intervals are as sure as their verdicts have to be. */
const verdictHeadings = ["figure", "measured", "beside", "ratio [interval]", "verdict"];

/** The report for a person: a line a figure, then what has to be known of it. */
export function formatReport({ at, command, machine, figures }: Report): string {
	const { processor, cores, memoryGiB, system, node, loadBefore } = machine;
	const rows = figures.map((figure) => [
		figure.id,
		measured(figure),
		besideOf(figure),
		ratioOf(figure),
		goalOf(figure),
	]);
	const remarks = figures.flatMap(({ id, notes = [] }) => notes.map((note) => `${id}: ${note}`));
	return [
		`${command}   ${at}`,
		`${processor}, ${cores} cores, ${memoryGiB} GiB, ${system}, Node ${node}, load before ${loadBefore}`,
		"",
		...columns([figures.some(({ verdict }) => verdict) ? verdictHeadings : headings, ...rows]),
		...(remarks.length > 0 ? ["", ...remarks] : []),
	].join("\n");
}

function measured({ unit, value, interval, percentiles }: Figure): string {
	if (interval) {
		return `${number(value)} [${number(interval.low)}, ${number(interval.high)}] ${unit}`;
	}
	if (!percentiles) return `${number(value)} ${unit}`;
	const parts = Object.entries(percentiles).map(([name, time]) => `${name} ${number(time)}`);
	return `${parts.join("  ")} ${unit}`;
}

function besideOf({ beside }: Figure): string {
	return beside ? `${number(beside.value)} ${beside.name}` : "";
}

function ratioOf({ beside, verdict }: Figure): string {
	if (!beside) return "";
	const { median, low, high, coverage, count } = beside.ratio;
	const range = `${median.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
	return coverage >= 0.95 || verdict ? range : `${range} of ${count} rounds: too few`;
}

function goalOf({ goal, verdict }: Figure): string {
	if (!goal) return verdict ?? "";
	const outcome = goal.met ? "met" : "missed";
	return `${goal.text} ${outcome}${goal.sure ? "" : ", the interval goes across"}`;
}

/** Three digits that count; whole numbers from 100 up, with thousands apart. */
function number(value: number): string {
	const size = Math.abs(value);
	if (size >= 100) return Math.round(value).toLocaleString("en-US");
	return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function columns(rows: readonly (readonly string[])[]): string[] {
	const widths = headings.map((_, column) =>
		Math.max(...rows.map((row) => row[column]?.length ?? 0)),
	);
	return rows.map((row) =>
		row
			.map((cell, column) => cell.padEnd(widths[column] ?? 0))
			.join("  ")
			.trimEnd(),
	);
}

import type { LoadResult } from "../results.ts";
import { type Dimension, formatValue } from "../thresholds.ts";
import type { Summary } from "../timeline.ts";
import { drawChart } from "./charts.ts";
import { section, textCell, toPage, toTable } from "./page.ts";

/** A figure of two runs. */
export interface Difference {
	/** `all`, or a kind of request. */
	readonly of: string;
	readonly figure: string;
	readonly dimension: Dimension;
	/** In the dimension's unit; null where nothing was measured. */
	readonly before: number | null;
	readonly after: number | null;
	/** after / before; null where one of them is missing, or before is 0. */
	readonly ratio: number | null;
}

const figures: readonly (readonly [string, Dimension, (summary: Summary) => number | null])[] = [
	["rate", "rate", ({ rate }) => rate],
	["p50", "time", ({ latency }) => latency?.p50 ?? null],
	["p95", "time", ({ latency }) => latency?.p95 ?? null],
	["p99", "time", ({ latency }) => latency?.p99 ?? null],
	["errors", "share", ({ errors, offered }) => (offered > 0 ? errors / offered : null)],
	["dropped", "share", ({ dropped, offered }) => (offered > 0 ? dropped / offered : null)],
];

/** Every figure that both runs have. */
export function compareResults(before: LoadResult, after: LoadResult): Difference[] {
	const pairs: [string, Summary, Summary][] = [["all", before.overall, after.overall]];
	for (const kind of after.kinds) {
		const earlier = before.kinds.find(({ name }) => name === kind.name);
		if (earlier) pairs.push([kind.name, earlier, kind]);
	}
	const ofSummaries = pairs.flatMap(([of, one, other]) =>
		figures.map(([figure, dimension, read]) =>
			difference({ of, figure, dimension }, read(one), read(other)),
		),
	);
	const ofScenario = after.figures.flatMap(({ name, dimension, value }) => {
		const earlier = before.figures.find((figure) => figure.name === name);
		return earlier
			? [difference({ of: "scenario", figure: name, dimension }, earlier.value, value)]
			: [];
	});
	const isNothing = ({ before, after }: Difference) => before === 0 && after === 0;
	return [...ofSummaries, ...ofScenario].filter((one) => !isNothing(one));
}

function difference(
	what: Pick<Difference, "of" | "figure" | "dimension">,
	before: number | null,
	after: number | null,
): Difference {
	return { ...what, before, after, ratio: before && after !== null ? after / before : null };
}

/** What keeps two runs from being the same test; empty where they are. */
export function differencesOfRuns(before: LoadResult, after: LoadResult): string[] {
	const told: (readonly [string, (result: LoadResult) => string])[] = [
		["scenario", ({ scenario }) => scenario],
		["rate", ({ sizes }) => String(sizes.rate)],
		["seconds", ({ sizes }) => String(sizes.seconds)],
		["users", ({ sizes }) => String(sizes.users)],
		["processor", ({ machine }) => `${machine.processor}, ${machine.cores} cores`],
		["Node", ({ machine }) => machine.node],
	];
	return told
		.filter(([, read]) => read(before) !== read(after))
		.map(([name, read]) => `${name}: ${read(before)} before, ${read(after)} after`);
}

const headings = ["", "", "before", "after", "ratio"];

function cellsOf({ of, figure, dimension, before, after, ratio }: Difference): string[] {
	const shown = (value: number | null) => (value === null ? "-" : formatValue(dimension, value));
	return [of, figure, shown(before), shown(after), ratio === null ? "-" : ratio.toFixed(3)];
}

export function formatComparison(before: LoadResult, after: LoadResult): string {
	const rows = [headings, ...compareResults(before, after).map(cellsOf)];
	const widths = headings.map((_, column) =>
		Math.max(...rows.map((row) => row[column]?.length ?? 0)),
	);
	const lines = rows.map((row) =>
		row
			.map((cell, column) =>
				column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
			)
			.join("  ")
			.trimEnd(),
	);
	const warnings = differencesOfRuns(before, after).map(
		(text) => `WARNING: not the same test: ${text}`,
	);
	return [`${before.at} (before) and ${after.at} (after)`, ...warnings, "", ...lines].join("\n");
}

export function comparisonToHtml(before: LoadResult, after: LoadResult): string {
	const rows = compareResults(before, after).map((one) => {
		const [of = "", figure = "", was = "", is = "", ratio = ""] = cellsOf(one);
		return [
			textCell(of),
			textCell(figure, "text"),
			textCell(was),
			textCell(is),
			textCell(ratio, verdictOf(one)),
		];
	});
	const warnings = differencesOfRuns(before, after).map(
		(text) => `<p class="warning">${textCell(`Not the same test: ${text}`).html}</p>`,
	);
	return toPage(`edgesign load tests: ${before.scenario} and ${after.scenario}`, [
		`<header><h1>${textCell(after.scenario).html}, before and after</h1><p>${textCell(`${before.at} (${before.command}) and ${after.at} (${after.command})`).html}</p></header>`,
		...warnings,
		section("Figures", toTable(headings, rows)),
		section("Over time", ...charts(before, after)),
	]);
}

/** Runs of a shared machine differ by this much without any cause. */
const noise = 0.1;

function verdictOf({ figure, ratio }: Difference): string {
	if (ratio === null || Math.abs(ratio - 1) <= noise) return "";
	const isMore = ratio > 1;
	return (figure === "rate") === isMore ? "good" : "bad";
}

function charts(before: LoadResult, after: LoadResult): string[] {
	const both = [before, after] as const;
	const xMax = Math.max(...both.map(({ phases }) => (phases.at(-1)?.to ?? 0) / 1000));
	type Point = LoadResult["series"][number];
	const lines = (read: (point: Point) => number | null) =>
		both.map(({ series }, index) => ({
			name: index === 0 ? "before" : "after",
			className: index === 0 ? "old" : "a",
			points: series.map((point) => [point.seconds, read(point)] as const),
		}));
	const common = { xMax, xUnit: " s" };
	return [
		drawChart({
			...common,
			...{ title: "Right answers per second", unit: "/s" },
			lines: lines(({ rate }) => rate),
		}),
		drawChart({
			...common,
			...{ title: "p95", unit: "ms, logarithmic", isLogarithmic: true },
			lines: lines(({ latency }) => latency?.p95 ?? null),
		}),
	];
}

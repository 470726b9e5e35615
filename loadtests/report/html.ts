import { limits } from "../limits.ts";
import type { LoadResult } from "../results.ts";
import { formatValue, threeDigits } from "../thresholds.ts";
import type { Summary } from "../timeline.ts";
import { drawChart } from "./charts.ts";
import { escapeHtml } from "./escape.ts";
import { chartsOf } from "./over-time.ts";
import { type Cell, section, share, textCell, tile, toPage, toTable, withEarlier } from "./page.ts";

/** A whole run as one page. @param baseline an earlier run, shown beside it */
export function toHtml(result: LoadResult, baseline: LoadResult | null): string {
	const warnings = result.generator.warnings.map(
		(warning) => `<p class="warning">${escapeHtml(warning)}</p>`,
	);
	return toPage(`edgesign load test: ${result.scenario}`, [
		header(result, baseline),
		tiles(result, baseline),
		...warnings,
		section("Thresholds", thresholdTable(result)),
		section("Results", figureTable(result)),
		section("Over time", ...chartsOf(result, baseline).map(drawChart)),
		section("Requests", kindTable(result, baseline)),
		section("Phases", phaseTable(result)),
		section("Errors", errorTable(result)),
		section("Percentiles", spectrumChart(result, baseline)),
		section("The generator", generatorTable(result)),
		section("The run", environmentTable(result, baseline)),
		"<footer>Latencies count from the moment at which a request was due, whether or not the server let it be sent then.</footer>",
	]);
}

function header({ scenario, summary, passed, at }: LoadResult, baseline: LoadResult | null) {
	const verdict = passed
		? '<span class="verdict good">every threshold holds</span>'
		: '<span class="verdict bad">a threshold is broken</span>';
	const beside = baseline ? `; beside it, in grey, the run of ${when(baseline.at)}` : "";
	return `<header><div class="title"><h1>${escapeHtml(scenario)}</h1>${verdict}</div>
<p>${escapeHtml(summary)}</p><p>${escapeHtml(`${when(at)}${beside}`)}</p></header>`;
}

function when(at: string): string {
	return `${at.slice(0, 10)} ${at.slice(11, 19)} UTC`;
}

function tiles({ overall }: LoadResult, baseline: LoadResult | null): string {
	const ms = (value: number | undefined) =>
		value === undefined ? "–" : formatValue("time", value);
	const one = (name: string, read: (summary: Summary) => string) =>
		tile(name, read(overall), baseline ? `before: ${read(baseline.overall)}` : "");
	return `<div class="tiles">${[
		one("right answers", ({ rate }) => formatValue("rate", rate)),
		one("p50", ({ latency }) => ms(latency?.p50)),
		one("p95", ({ latency }) => ms(latency?.p95)),
		one("p99", ({ latency }) => ms(latency?.p99)),
		one("errors", ({ errors, offered }) => share(errors / Math.max(1, offered))),
		one("dropped", ({ dropped, offered }) => share(dropped / Math.max(1, offered))),
	].join("")}</div>`;
}

function thresholdTable({ thresholds }: LoadResult): string {
	if (thresholds.length === 0) return "";
	return toTable(
		["threshold", "measured", ""],
		thresholds.map(({ text, shown, holds, decides }) => [
			{ html: `<code>${escapeHtml(text)}</code>` },
			textCell(shown),
			textCell(
				holds ? "holds" : decides ? "broken" : "ends the climb",
				holds ? "good" : decides ? "bad" : "",
			),
		]),
	);
}

function figureTable({ figures }: LoadResult): string {
	if (figures.length === 0) return "";
	return toTable(
		["result", "value", ""],
		figures.map(({ name, value, dimension, text }) => [
			textCell(name),
			textCell(formatValue(dimension, value ?? Number.NaN)),
			textCell(text, "text"),
		]),
	);
}

const kindHeadings = ["", "due", "right/s", "p50 ms", "p95", "p99", "max", "errors", "dropped"];

function summaryCells(summary: Summary, earlier?: Summary): Cell[] {
	const { offered, rate, latency, errors, dropped } = summary;
	const times = (["p50", "p95", "p99", "max"] as const).map((name) =>
		withEarlier(latency?.[name], earlier?.latency?.[name]),
	);
	return [
		textCell(offered.toLocaleString("en-US")),
		withEarlier(rate, earlier?.rate),
		...times,
		textCell(String(errors), errors > 0 ? "bad" : ""),
		textCell(String(dropped), dropped > 0 ? "bad" : ""),
	];
}

function kindTable({ kinds, overall }: LoadResult, baseline: LoadResult | null): string {
	const rows = kinds.map((kind) => {
		const earlier = baseline?.kinds.find(({ name }) => name === kind.name);
		const answers = Object.entries(kind.outcomes)
			.map(([what, count]) => `${what}: ${count}`)
			.join(", ");
		const name = `${escapeHtml(kind.name)}${kind.hostile ? " (hostile)" : ""}<small>${escapeHtml(answers)}</small>`;
		return [{ html: name }, ...summaryCells(kind, earlier)];
	});
	const all = [textCell("all but hostile ones"), ...summaryCells(overall, baseline?.overall)];
	return toTable(kindHeadings, [...rows, all], 1);
}

function phaseTable({ phases }: LoadResult): string {
	if (phases.length < 2) return "";
	return toTable(
		["phase", "s", ...kindHeadings.slice(1)],
		phases.map(({ name, measured, summary }) => [
			textCell(measured ? name : `${name} (not measured)`),
			textCell(threeDigits(summary.seconds)),
			...summaryCells(summary),
		]),
	);
}

function errorTable({ errors }: LoadResult): string {
	if (errors.length === 0) return "";
	return toTable(
		["request", "answer", "times"],
		errors
			.slice(0, limits.errorKindsShown)
			.map(({ kind, what, count }) => [textCell(kind), textCell(what), textCell(String(count))]),
	);
}

/** Latency by percentile, with the rare ones far apart: each nine has as much room as the one before. */
function spectrumChart({ spectrum }: LoadResult, baseline: LoadResult | null): string {
	const place = (share: number) => -Math.log10(Math.max(1 - share, 1e-5));
	const points = (of: LoadResult["spectrum"]) =>
		of
			.filter(([share]) => share < 1)
			.map(([share, milliseconds]) => [place(share), milliseconds] as const);
	if (spectrum.length === 0) return "";
	return drawChart({
		title: "Latency by percentile",
		unit: "ms, logarithmic; across: nines (1 is p90, 2 is p99, 3 is p99.9)",
		isLogarithmic: true,
		xMax: 4,
		xUnit: "",
		lines: [
			...(baseline
				? [{ name: "before", className: "old", points: points(baseline.spectrum) }]
				: []),
			{ name: "this run", className: "a", points: points(spectrum) },
		],
	});
}

function generatorTable({ generator }: LoadResult): string {
	const { lagMs, cpu, connectionsMax, waitingMax } = generator;
	const rows: [string, string][] = [
		[
			"late by",
			lagMs
				? `${threeDigits(lagMs.p50)} ms (p50), ${threeDigits(lagMs.p99)} ms (p99), ${threeDigits(lagMs.max)} ms (max)`
				: "nothing was due",
		],
		["processor", `${cpu.mean.toFixed(2)} of a core; ${cpu.max.toFixed(2)} at the most`],
		["connections", `${connectionsMax} at the most`],
		["waited for a connection", `${waitingMax} at the most`],
	];
	return toTable(
		["", ""],
		rows.map(([name, text]) => [textCell(name), textCell(text, "text")]),
	);
}

function environmentTable(result: LoadResult, baseline: LoadResult | null): string {
	const { machine, target, sizes, seed, command } = result;
	const rows: [string, string][] = [
		["command", command],
		["server", target.isOwnStack ? "a stack of its own, on this machine" : target.url],
		["sizes", `rate ${sizes.rate}/s, ${sizes.seconds} s, ${sizes.users} users, seed ${seed}`],
		["machine", `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB`],
		["system", `${machine.system}, Node ${machine.node}`],
		["load before", String(machine.loadBefore)],
		...(baseline
			? [
					[
						"baseline",
						`${baseline.command}, ${when(baseline.at)}, ${baseline.machine.processor}`,
					] as [string, string],
				]
			: []),
	];
	return toTable(
		["", ""],
		rows.map(([name, text]) => [textCell(name), textCell(text, "text")]),
	);
}

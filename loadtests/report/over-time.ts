import type { LoadResult } from "../results.ts";
import type { Chart, Line } from "./charts.ts";

type Point = LoadResult["series"][number];
type Read = (point: Point) => number | null;

/** What went on in the run, a chart for each question; the baseline in grey. */
export function chartsOf(result: LoadResult, baseline: LoadResult | null): Chart[] {
	const { series, phases, marks, server } = result;
	if (series.length === 0) return [];
	const xMax = (phases.at(-1)?.to ?? 0) / 1000;
	const shades = phases
		.filter(({ measured }) => !measured)
		.map(({ from, to }) => ({ from: from / 1000, to: to / 1000 }));
	const common = { xMax, xUnit: " s", shades };
	const line = (name: string, className: string, read: Read) =>
		lineOf(series, name, className, read);
	const before = baseline?.series.filter(({ seconds }) => seconds <= xMax);
	const earlier = (name: string, read: Read) => (before ? [lineOf(before, name, "old", read)] : []);
	const hasHostile = series.some(({ hostile }) => hostile > 0);
	return [
		{
			...common,
			...{ title: "Requests per second", unit: "/s" },
			marks: marks.map(({ seconds, text }) => ({ x: seconds, text })),
			lines: [
				...earlier("before", ({ rate }) => rate),
				line("due", "b", ({ offered }) => offered),
				{ ...line("answered as they should be", "a", ({ rate }) => rate), isFilled: true },
				...(hasHostile ? [line("of attackers", "e", ({ hostile }) => hostile)] : []),
			],
		},
		{
			...common,
			...{ title: "Latency", unit: "ms, logarithmic", isLogarithmic: true },
			lines: [
				...earlier("p95 before", ({ latency }) => latency?.p95 ?? null),
				line("p50", "a", ({ latency }) => latency?.p50 ?? null),
				line("p95", "b", ({ latency }) => latency?.p95 ?? null),
				line("p99", "c", ({ latency }) => latency?.p99 ?? null),
			],
		},
		{
			...common,
			...{ title: "Errors", unit: "/s" },
			lines: [
				...earlier("errors before", ({ errors }) => errors),
				{ ...line("errors", "e", ({ errors }) => errors), isFilled: true },
				line("dropped", "b", ({ dropped }) => dropped),
			],
		},
		{
			...common,
			...{ title: "How late the generator was", unit: "ms, p99" },
			lines: [line("lag", "d", ({ lagMs }) => lagMs)],
		},
		...(server.length > 0 ? [memoryChart(server, common)] : []),
	];
}

function lineOf(series: readonly Point[], name: string, className: string, read: Read): Line {
	return { name, className, points: series.map((point) => [point.seconds, read(point)]) };
}

function memoryChart(
	server: LoadResult["server"],
	common: Pick<Chart, "xMax" | "xUnit" | "shades">,
): Chart {
	const points = server.map(({ seconds, memoryMiB }) => [seconds, memoryMiB] as const);
	return {
		...common,
		...{ title: "workerd: memory", unit: "MiB resident" },
		lines: [{ name: "memory", className: "d", isFilled: true, points }],
	};
}

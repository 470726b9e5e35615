import { limits } from "../limits.ts";
import type { LoadResult } from "../results.ts";
import { formatValue, threeDigits } from "../thresholds.ts";
import type { Summary } from "../timeline.ts";

const headings = [
	"",
	"offered",
	"right/s",
	"p50 ms",
	"p95 ms",
	"p99 ms",
	"max ms",
	"errors",
	"dropped",
];

/** The result for a person at a terminal. */
export function formatResult(result: LoadResult): string {
	const { machine, generator, figures, thresholds, errors } = result;
	const { processor, cores, memoryGiB, loadBefore } = machine;
	const sections = [
		[
			`${result.scenario}: ${result.summary}`,
			`${result.command}   ${result.at}`,
			`${processor}, ${cores} cores, ${memoryGiB} GiB, load before ${loadBefore}; ${result.target.url}${result.target.isOwnStack ? ", a stack of its own" : ""}`,
		],
		table(result),
		errors
			.slice(0, limits.errorKindsShown)
			.map(({ kind, what, count }) => `error: ${kind}: ${what}, ${count} times`),
		figures.map(
			({ name, value, dimension, text }) =>
				`${name}: ${formatValue(dimension, value ?? Number.NaN)}, ${text}`,
		),
		[generatorLine(result), ...generator.warnings.map((warning) => `WARNING: ${warning}`)],
		thresholds.map(
			({ text, shown, holds, decides }) =>
				`${holds ? "ok  " : decides ? "FAIL" : "end "}  ${text}   ${shown}`,
		),
	];
	return sections
		.filter(({ length }) => length > 0)
		.map((lines) => lines.join("\n"))
		.join("\n\n");
}

function table({ kinds, phases, overall }: LoadResult): string[] {
	const measured = phases.filter((phase) => phase.measured);
	const rows = [
		headings,
		...kinds.map((kind) => cells(kind.hostile ? `${kind.name} (hostile)` : kind.name, kind)),
		...(measured.length > 1 ? measured.map(({ name, summary }) => cells(`@${name}`, summary)) : []),
		cells("all", overall),
	];
	const widths = headings.map((_, column) =>
		Math.max(...rows.map((row) => row[column]?.length ?? 0)),
	);
	return rows.map((row) =>
		row
			.map((cell, column) =>
				column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
			)
			.join("  "),
	);
}

function cells(name: string, { offered, rate, latency, errors, dropped }: Summary): string[] {
	const times = [latency?.p50, latency?.p95, latency?.p99, latency?.max];
	return [
		name,
		offered.toLocaleString("en-US"),
		threeDigits(rate),
		...times.map((time) => (time === undefined ? "-" : threeDigits(time))),
		String(errors),
		String(dropped),
	];
}

function generatorLine({ generator }: LoadResult): string {
	const { lagMs, cpu, connectionsMax } = generator;
	const lag = lagMs
		? `late by ${threeDigits(lagMs.p50)} ms (p50), ${threeDigits(lagMs.p99)} ms (p99), ${threeDigits(lagMs.max)} ms (max)`
		: "nothing was due";
	return `generator: ${lag}; ${cpu.mean.toFixed(2)} of a core; ${connectionsMax} connections at the most`;
}

import * as limits from "../limits.ts";
import {
	type FigureName,
	type Figures,
	figureOf,
	type MeasuredRoute,
	median,
	type Part,
	parts,
} from "./figures.ts";

/** Where the time goes: a part that the service stands on, or the worker itself. */
export type Bottleneck = Part | "worker";

/** What a warm request waits for. */
const waitsFor: Readonly<Record<MeasuredRoute, readonly Part[]>> = {
	sign: ["durableObject"],
	verify: [],
	getKey: ["postgres"],
	getJwks: [],
};

const partNames: Readonly<Record<Part, string>> = {
	postgres: "Postgres",
	redis: "Redis",
	durableObject: "a Durable Object",
};

const whatToDo: Readonly<Record<Bottleneck, string>> = {
	postgres:
		"Look at its load and its connections, and at the slowest statements in pg_stat_statements; a database far from the worker takes as long for each statement.",
	redis: "Look at its load and its region. Nothing is lost without it.",
	durableObject:
		"Objects that have too much to do answer late: scaling_config.coordinator_shards and audit_shards divide a busy tenant among more of them.",
	worker:
		"What it waits for does not explain it, so it is the worker's own time: look whether the isolates have more to do, and, where it was faster before, compare this release with the one before.",
};

const refused =
	"It was refused, or not answered in time, while what it waits for did answer: look for request_failed and dependency_unavailable in the log.";

/**
 * The part whose time rose most against what was usual, or that takes most where the figure did not rise;
 * and what may be done. `before` is of earlier runs.
 */
export function bottleneckOf(
	name: FigureName,
	now: Figures,
	before: readonly Figures[],
): { readonly bottleneck: Bottleneck; readonly advice: string } {
	const bottleneck = name === "memoryMb" ? "worker" : slowest(name, now, before);
	return { bottleneck, advice: adviceOn(bottleneck, name, now, before) };
}

function slowest(name: FigureName, now: Figures, before: readonly Figures[]): Bottleneck {
	const [group, member] = name.split(".") as [string, string];
	if (group === "partsMs") return member as Part;
	const waited = group === "responseMs" ? waitsFor[member as MeasuredRoute] : [];
	const silent = waited.find((part) => now.partsMs[part] === null);
	if (silent) return silent;
	// A figure that is about as it was has risen from nothing: what takes most of it is looked for.
	const from = isAsUsual(name, now, before) ? [] : before;
	const rises = waited.map((part) => ({ part, ms: riseOf(`partsMs.${part}`, now, from) }));
	const explained = rises.reduce((sum, { ms }) => sum + Math.max(0, ms), 0);
	// What the parts do not explain is the worker's own, where the figure is a time.
	const own = group === "responseMs" ? riseOf(name, now, from) - explained : 0;
	const most = rises.reduce<{ part: Bottleneck; ms: number }>(
		(best, rise) => (rise.ms > best.ms ? rise : best),
		{ part: "worker", ms: Math.max(0, own) },
	);
	return most.part;
}

/** Whether it rose by less than a regression is told of. What was not answered is not as usual. */
function isAsUsual(name: FigureName, now: Figures, before: readonly Figures[]): boolean {
	const was = usual(name, before) ?? 0;
	const least = Math.max(limits.benchmarkLeastChangeMs, limits.benchmarkLeastChange * was);
	return figureOf(now, name) !== null && riseOf(name, now, before) < least;
}

/** Against the median of what was before; all of it where nothing was. */
function riseOf(name: FigureName, now: Figures, before: readonly Figures[]): number {
	return (figureOf(now, name) ?? 0) - (usual(name, before) ?? 0);
}

/** null where there are too few runs to say. */
function usual(name: FigureName, before: readonly Figures[]): number | null {
	const values = before.map((figures) => figureOf(figures, name)).filter((value) => value !== null);
	return values.length < limits.benchmarkUsualRunsMin ? null : median(values);
}

function adviceOn(
	bottleneck: Bottleneck,
	name: FigureName,
	now: Figures,
	before: readonly Figures[],
): string {
	if (name === "memoryMb") {
		return "The isolate's caches hold more than the threshold. They are bounded (docs/guides/benchmarks.md), so either the threshold is below what they may hold, or more tenants and keys are in use.";
	}
	const part = parts.find((one) => one === bottleneck);
	if (!part) return figureOf(now, name) === null ? refused : whatToDo[bottleneck];
	const took = figureOf(now, `partsMs.${part}`);
	const was = usual(`partsMs.${part}`, before);
	const said =
		took === null
			? `${capital(partNames[part])} did not answer.`
			: `${capital(partNames[part])} took ${took} ms to answer${was === null ? "" : `, where ${was} ms were usual`}.`;
	return `${said} ${whatToDo[part]}`;
}

function capital(text: string): string {
	return text.charAt(0).toUpperCase() + text.slice(1);
}

import type { TenantConfig } from "../config/schema.ts";
import * as limits from "../limits.ts";
import { type Bottleneck, bottleneckOf } from "./bottleneck.ts";
import { type ChangePoint, findChangePoints } from "./change-points.ts";
import {
	type FigureName,
	type Figures,
	figureNames,
	figureOf,
	isRate,
	type Measurement,
	measuredRoutes,
} from "./figures.ts";

export type Thresholds = TenantConfig["benchmarking_config"]["performance_thresholds"];

/** Rules that a run may break: a threshold of the configuration, its own history, or no answer at all. */
export type Rule = keyof Thresholds | "regression" | "unreachable";

/** A rule that is broken. */
export interface Finding {
	readonly rule: Rule;
	readonly subject: FigureName;
	/** null where nothing answered. */
	readonly value: number | null;
	/** What the value crossed: a threshold, or the level before the change. */
	readonly threshold: number | null;
	readonly bottleneck: Bottleneck;
	readonly advice: string;
}

/** What a run says of every rule that could be looked at: of what was not measured nothing is said. */
export interface Assessment {
	readonly broken: readonly Finding[];
	readonly kept: readonly { readonly rule: Rule; readonly subject: FigureName }[];
}

interface Verdict {
	readonly rule: Rule;
	readonly subject: FigureName;
	/** null: it is kept. */
	readonly crossed: Pick<Finding, "value" | "threshold"> | null;
	/** Runs before it, which tell what was usual. */
	readonly before: readonly Figures[];
}

/** Holds a measurement against thresholds and against earlier runs, oldest first. */
export function assess(
	{ figures, unreachable }: Measurement,
	history: readonly Figures[],
	thresholds: Thresholds,
): Assessment {
	const usual = history.slice(-limits.benchmarkUsualRuns);
	const verdicts = figureNames.flatMap((subject): Verdict[] => {
		const value = figureOf(figures, subject);
		const isSilent = unreachable.includes(subject);
		if (value === null && !isSilent) return [];
		const silence = { value: null, threshold: null };
		const answer = { rule: "unreachable", subject, crossed: isSilent ? silence : null } as const;
		if (value === null) return [{ ...answer, before: usual }];
		return [
			{ ...answer, before: usual },
			...againstThreshold(subject, value, thresholds).map((one) => ({ ...one, before: usual })),
			againstHistory(subject, value, history),
		];
	});
	return {
		broken: verdicts.flatMap(({ rule, subject, crossed, before }) =>
			crossed ? [{ rule, subject, ...crossed, ...bottleneckOf(subject, figures, before) }] : [],
		),
		kept: verdicts.flatMap(({ rule, subject, crossed }) => (crossed ? [] : [{ rule, subject }])),
	};
}

function againstThreshold(subject: FigureName, value: number, thresholds: Thresholds) {
	const rule = thresholdOf(subject);
	if (!rule) return [];
	const threshold = thresholds[rule];
	const isCrossed = isRate(subject) ? value < threshold : value > threshold;
	return [{ rule, subject, crossed: isCrossed ? { value, threshold } : null }];
}

function thresholdOf(subject: FigureName): keyof Thresholds | null {
	if (subject === "throughputRps") return "min_throughput_rps";
	if (subject === "memoryMb") return "max_memory_usage_mb";
	const isResponse = measuredRoutes.some((route) => subject === `responseMs.${route}`);
	return isResponse ? "max_response_time_ms" : null;
}

/**
 * Whether the figure stands on a worse level than before its last change. A level that has lasted for
 * the whole history is what is usual, and no regression any more.
 */
function againstHistory(subject: FigureName, value: number, history: readonly Figures[]): Verdict {
	const rule = "regression";
	// A cache that fills is no regression: memory has its threshold alone.
	if (subject === "memoryMb") return { rule, subject, crossed: null, before: [] };
	const runs = history.filter((figures) => figureOf(figures, subject) !== null);
	const change = changesOf(subject, [...runs.map((one) => figureOf(one, subject) ?? 0), value]).at(
		-1,
	);
	const crossed = change && isWorse(subject, change) ? change : null;
	return {
		rule,
		subject,
		crossed: crossed && { value: crossed.after, threshold: crossed.before },
		before: runs.slice(0, change?.index),
	};
}

/** Where the figure's level changed by as much as anyone wants to be told of; oldest first. */
export function changesOf(subject: FigureName, values: readonly number[]): ChangePoint[] {
	const leastChange = limits.benchmarkLeastChange;
	const falseAlarms = limits.benchmarkFalseAlarms / figureNames.length;
	const least = isRate(subject) ? 0 : limits.benchmarkLeastChangeMs;
	return findChangePoints(values, { leastChange, falseAlarms }).filter(
		({ before, after }) => Math.abs(after - before) >= least,
	);
}

export function isWorse(subject: FigureName, { before, after }: ChangePoint): boolean {
	return isRate(subject) ? after < before : after > before;
}

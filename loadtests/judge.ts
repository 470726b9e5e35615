import { Problem } from "../local/problem.ts";
import type { RequestKind } from "./requests.ts";
import type { ThresholdResult } from "./results.ts";
import type { PhaseOutcome, Scenario, ScenarioFigure } from "./scenario.ts";
import { formatValue, holds, measuredOf, parseThreshold, type Threshold } from "./thresholds.ts";
import type { Interval, Timeline } from "./timeline.ts";

/** What thresholds are held against. */
interface Measured {
	readonly timeline: Timeline;
	readonly kinds: readonly RequestKind[];
	readonly phases: readonly PhaseOutcome[];
	readonly figures: readonly ScenarioFigure[];
}

/** @throws Problem when one is not of the form, or about a phase that the scenario does not have */
export function parseThresholds(
	{ figures = {}, phases }: Pick<Scenario, "figures" | "phases">,
	texts: readonly string[],
): Threshold[] {
	return texts.map((text) => {
		const threshold = parseThreshold(text, figures);
		const { phase } = threshold;
		if (phase === null || !phases || phases.includes(phase)) return threshold;
		const known = phases.length > 0 ? `there is ${phases.join(", ")}` : "there is none to name";
		throw new Problem(`the threshold "${text}" is about no phase that is measured: ${known}`);
	});
}

/** @throws Problem when a threshold is about a kind of request that the scenario does not send */
export function checkKinds(thresholds: readonly Threshold[], kinds: readonly RequestKind[]): void {
	const names = kinds.map(({ name }) => name);
	for (const { kind, text } of thresholds) {
		if (kind === null || names.includes(kind)) continue;
		throw new Problem(`the threshold "${text}" is about no kind: there is ${names.join(", ")}`);
	}
}

/** Every threshold with what was measured of it, over all measured phases or the one that it names. */
export function judgeAll(
	{ climbs = false }: Pick<Scenario, "climbs">,
	thresholds: readonly Threshold[],
	measured: Measured,
): ThresholdResult[] {
	return thresholds.map((threshold) => {
		const about = measured.figures.find(({ name }) => name === threshold.metric);
		if (about) return { ...verdict(threshold, about.value), decides: true };
		const phases = measured.phases.filter((phase) =>
			threshold.phase === null ? phase.measured : phase.name === threshold.phase,
		);
		const judged = judgeSample(measured, threshold, phases);
		return { ...(judged ?? verdict(threshold, Number.NaN)), decides: !climbs };
	});
}

/** A threshold over some intervals; null for one that is about a figure of the scenario. */
export function judgeSample(
	{ timeline, kinds }: Pick<Measured, "timeline" | "kinds">,
	threshold: Threshold,
	intervals: readonly Interval[],
): Omit<ThresholdResult, "decides"> | null {
	const numbers = kinds.flatMap(({ name, hostile }, number) =>
		(threshold.kind === null ? !hostile : name === threshold.kind) ? [number] : [],
	);
	if (threshold.isFigure) return null;
	const summary = timeline.summary(intervals, numbers);
	const times = timeline.times(intervals, numbers);
	return verdict(threshold, measuredOf(threshold, { summary, times }));
}

function verdict(threshold: Threshold, value: number): Omit<ThresholdResult, "decides"> {
	return {
		text: threshold.text,
		value: Number.isFinite(value) ? value : null,
		shown: formatValue(threshold.dimension, value),
		holds: holds(threshold, value),
	};
}

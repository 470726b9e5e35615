import type { describeMachine } from "../bench/figures.ts";
import { limits } from "./limits.ts";
import type { RequestKind } from "./requests.ts";
import type { GeneratorResult, LoadResult, Mark, Point, ThresholdResult } from "./results.ts";
import type { PhaseOutcome, Scenario, ScenarioFigure, Sizes } from "./scenario.ts";
import { type Interval, latencyOf, type Timeline } from "./timeline.ts";

/** All that a run left behind. */
interface Finished {
	readonly scenario: Pick<Scenario, "name" | "summary">;
	readonly kinds: readonly RequestKind[];
	readonly sizes: Sizes;
	readonly seed: number;
	readonly at: string;
	readonly machine: ReturnType<typeof describeMachine>;
	readonly command: string;
	readonly target: LoadResult["target"];
	readonly timeline: Timeline;
	readonly phases: readonly PhaseOutcome[];
	readonly marks: readonly Mark[];
	readonly figures: readonly ScenarioFigure[];
	readonly server: LoadResult["server"];
	readonly thresholds: readonly ThresholdResult[];
}

const spectrumShares = [
	0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1,
];

export function summarise(finished: Finished): LoadResult {
	const { scenario, kinds, timeline, phases, thresholds } = finished;
	const usual = kinds.flatMap(({ hostile }, number) => (hostile ? [] : [number]));
	const measured = phases.filter((phase) => phase.measured);
	const begin = phases[0]?.from ?? 0;
	const sinceBegin = <T extends { readonly seconds: number }>(at: T): T => ({
		...at,
		seconds: at.seconds - begin / 1000,
	});
	const overall = timeline.summary(measured, usual);
	const times = timeline.times(measured, usual);
	const byKind = kinds.map(({ name, hostile = false, expects }, number) => ({
		...{ name, hostile, expects },
		...timeline.summary(measured, [number]),
	}));
	return {
		version: 1,
		scenario: scenario.name,
		summary: scenario.summary,
		at: finished.at,
		command: finished.command,
		machine: finished.machine,
		target: finished.target,
		sizes: finished.sizes,
		seed: finished.seed,
		overall,
		kinds: byKind.filter(({ offered }) => offered > 0),
		phases: phases.map(({ name, from, to, measured, summary }) => ({
			...{ name, from: from - begin, to: to - begin, measured, summary },
		})),
		series: seriesOf(timeline, phases, kinds),
		marks: finished.marks.map(sinceBegin),
		errors: byKind
			.flatMap(({ name, expects, outcomes }) =>
				Object.entries(outcomes)
					.filter(([what]) => !expects.includes(Number(what)))
					.map(([what, count]) => ({ kind: name, what, count })),
			)
			.sort((a, b) => b.count - a.count),
		spectrum:
			times.count === 0
				? []
				: spectrumShares.map((share) => [share, times.percentile(share)] as const),
		generator: generatorOf(timeline, measured, overall.dropped),
		server: finished.server.map(sinceBegin).filter(({ seconds }) => seconds >= 0),
		figures: finished.figures.map((figure) => ({
			...figure,
			value: Number.isFinite(figure.value) ? figure.value : null,
		})),
		thresholds,
		passed: thresholds.every(({ holds, decides }) => holds || !decides),
	};
}

/** Stretches of the whole run, as many as a chart has room for. */
function seriesOf(
	timeline: Timeline,
	phases: readonly PhaseOutcome[],
	kinds: readonly RequestKind[],
): Point[] {
	const from = phases[0]?.from ?? 0;
	const to = phases.at(-1)?.to ?? 0;
	const cells = Math.ceil((to - from) / limits.cellMs / limits.chartPointsMax);
	// Not less than a second, or a low rate has points with a handful of requests.
	const stepMs = Math.max(1000 / limits.cellMs, cells) * limits.cellMs;
	const numbers = (wanted: boolean) =>
		kinds.flatMap(({ hostile = false }, number) => (hostile === wanted ? [number] : []));
	const [usual, hostile] = [numbers(false), numbers(true)];
	const points: Point[] = [];
	for (let start = from; start + stepMs / 2 <= to; start += stepMs) {
		const interval = { from: start, to: Math.min(start + stepMs, to) };
		const seconds = (interval.to - interval.from) / 1000;
		const { offered, rate, errors, dropped, latency } = timeline.summary([interval], usual);
		points.push({
			seconds: (interval.from + interval.to - 2 * from) / 2000,
			offered: offered / seconds,
			rate,
			errors: errors / seconds,
			dropped: dropped / seconds,
			hostile: timeline.summary([interval], hostile).offered / seconds,
			latency: latency && { p50: latency.p50, p95: latency.p95, p99: latency.p99 },
			lagMs: latencyOf(timeline.lag([interval]))?.p99 ?? null,
		});
	}
	return points;
}

function generatorOf(
	timeline: Timeline,
	measured: readonly Interval[],
	dropped: number,
): GeneratorResult {
	const beats = measured.flatMap((interval) => timeline.beatsIn(interval));
	const lag = latencyOf(timeline.lag(measured));
	const cpu = beats.map((beat) => beat.cpu);
	const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), 0);
	const mean = cpu.reduce((sum, share) => sum + share, 0) / Math.max(1, cpu.length);
	const lagMs = lag && { p50: lag.p50, p99: lag.p99, max: lag.max };
	return {
		lagMs,
		cpu: { mean, max: most(cpu) },
		connectionsMax: most(beats.map(({ connections }) => connections)),
		waitingMax: most(beats.map(({ waiting }) => waiting)),
		warnings: warningsOf(lagMs?.p99 ?? 0, mean, dropped),
	};
}

/** Where the generator, and not the server, may have been what was measured. */
export function warningsOf(lagP99Ms: number, cpu: number, dropped: number): string[] {
	const warnings: string[] = [];
	if (lagP99Ms > limits.lagP99Ms) {
		warnings.push(
			`the generator noticed 1 % of the arrivals more than ${lagP99Ms.toFixed(1)} ms late: what is slower than that may be its own doing`,
		);
	}
	if (cpu > limits.generatorCpuShare) {
		warnings.push(
			`the generator used ${cpu.toFixed(2)} of a core: it, and not the server, may have been the limit`,
		);
	}
	if (dropped > 0) {
		warnings.push(
			`${dropped} arrivals were never sent, because ${limits.waitingMax} waited already: the percentiles are of the others`,
		);
	}
	return warnings;
}

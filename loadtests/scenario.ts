import type { ServerSample } from "./processes.ts";
import type { RequestKind } from "./requests.ts";
import type { Target } from "./target.ts";
import type { Dimension } from "./thresholds.ts";
import type { Interval, Summary } from "./timeline.ts";

/** Weights of kinds by name: the shares of a load's requests. */
export type Traffic = Readonly<Record<string, number>>;

/** Requests that are sent at once with the others of a phase: on a schedule, or by users. */
export type Load =
	| {
			/** Requests per second, whatever the server does. */
			readonly rate: number;
			/** The rate at the end of the phase, when it is another one. */
			readonly rateTo?: number;
			readonly mix: Traffic;
	  }
	| {
			/** Each waits for the answer, thinks, and asks again. */
			readonly users: number;
			readonly thinkMs: number;
			/** In which they come, one by one. */
			readonly rampMs?: number;
			readonly mix: Traffic;
	  };

export interface Phase {
	/** What a threshold names behind @. */
	readonly name: string;
	readonly seconds: number;
	readonly loads: readonly Load[];
	/** False for what only warms up or waits: thresholds and the table leave it out. */
	readonly measured?: boolean;
	/** Called when it begins. */
	readonly onBegin?: () => void;
}

/** What a scenario is run with; each has a flag. */
export interface Sizes {
	/** Requests per second. */
	readonly rate: number;
	/** Of the measured part; where there are several phases, of each of the main ones. */
	readonly seconds: number;
	readonly users: number;
}

/** What came of a phase. */
export interface PhaseOutcome extends Interval {
	readonly name: string;
	readonly measured: boolean;
	readonly summary: Summary;
	/** Whether every threshold holds for this phase alone. */
	readonly holds: boolean;
}

/** A result that only this scenario has; thresholds can be about it by its name. */
export interface ScenarioFigure {
	readonly name: string;
	/** Milliseconds, a share of 1, a rate per second, or a plain number; NaN when it was not found. */
	readonly value: number;
	readonly dimension: Dimension;
	readonly text: string;
}

/** What a scenario works with while it runs. */
export interface Running {
	readonly target: Target;
	readonly sizes: Sizes;
	/** Runs phases in a row, to the last answer. */
	load(phases: readonly Phase[]): Promise<readonly PhaseOutcome[]>;
	/** Ends the phases that run now before their time. */
	cutShort(): void;
	/** The time of the run, in milliseconds from its beginning. */
	now(): number;
	/** What became of the kinds' requests that were scheduled then, all together; of all but hostile ones when none is named. */
	summary(when: Interval | readonly Interval[], kinds?: readonly string[]): Summary;
	/** What the stack's workerd used so far; empty for a service elsewhere. */
	server(): readonly ServerSample[];
	/** Marks a moment in the report's charts. */
	mark(text: string): void;
	figure(figure: ScenarioFigure): void;
	readonly signal: AbortSignal;
}

/**
 * A load test. A file of loadtests/scenarios/ exports one, and its table (scenarios/index.ts) has it.
 * It is run by `npm run load -- NAME`, or by runScenario (run-scenario.ts).
 */
export interface Scenario {
	readonly name: string;
	/** A line for the list of scenarios. */
	readonly summary: string;
	readonly sizes: Sizes;
	/** What it finds out beside the usual, by name. */
	readonly figures?: Readonly<Record<string, Dimension>>;
	readonly thresholds: readonly string[];
	/** Those that are measured and that thresholds may name; any where it is left out. */
	readonly phases?: readonly string[];
	/** The load goes up until a threshold breaks: only those about figures decide about the run. */
	readonly climbs?: boolean;
	/** It takes parts of the stack away, or needs its database. */
	readonly needsStack?: boolean;
	/** Makes keys and tokens, and with them the kinds of requests. */
	prepare(target: Target, sizes: Sizes): Promise<readonly RequestKind[]>;
	run(running: Running): Promise<void>;
}

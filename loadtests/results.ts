import type { describeMachine } from "../bench/figures.ts";
import type { ServerSample } from "./processes.ts";
import type { ScenarioFigure, Sizes } from "./scenario.ts";
import type { Interval, Latency, Summary } from "./timeline.ts";

/** A whole run: what the JSON file has, and all that a report is made of. */
export interface LoadResult {
	/** Raised when a reader of older files would misread this one. */
	readonly version: 1;
	readonly scenario: string;
	readonly summary: string;
	/** When the run began, ISO 8601. */
	readonly at: string;
	readonly command: string;
	readonly machine: ReturnType<typeof describeMachine>;
	readonly target: { readonly url: string; readonly isOwnStack: boolean };
	readonly sizes: Sizes;
	readonly seed: number;
	/** Of all kinds but hostile ones, in every phase that is measured. */
	readonly overall: Summary;
	readonly kinds: readonly KindResult[];
	readonly phases: readonly PhaseResult[];
	readonly series: readonly Point[];
	readonly marks: readonly Mark[];
	readonly errors: readonly ErrorKind[];
	/** Of `overall`: latency in milliseconds below which a share of the requests lies. */
	readonly spectrum: readonly (readonly [share: number, milliseconds: number])[];
	readonly generator: GeneratorResult;
	readonly server: readonly ServerSample[];
	readonly figures: readonly FigureResult[];
	readonly thresholds: readonly ThresholdResult[];
	/** Whether every threshold that decides holds. */
	readonly passed: boolean;
}

/** What the scenario found out; null where it found nothing. */
export type FigureResult = Omit<ScenarioFigure, "value"> & { readonly value: number | null };

export interface KindResult extends Summary {
	readonly name: string;
	readonly hostile: boolean;
	readonly expects: readonly number[];
}

export interface PhaseResult extends Interval {
	readonly name: string;
	readonly measured: boolean;
	readonly summary: Summary;
}

/** What went on in a stretch of the run, of all kinds but hostile ones where nothing else is said. */
export interface Point {
	/** Its middle, in seconds from the beginning. */
	readonly seconds: number;
	/** Per second, as the four after it. */
	readonly offered: number;
	readonly rate: number;
	readonly errors: number;
	readonly dropped: number;
	/** Requests of attackers. */
	readonly hostile: number;
	readonly latency: Pick<Latency, "p50" | "p95" | "p99"> | null;
	/** How late the generator itself noticed arrivals: 99th percentile in milliseconds; null without any. */
	readonly lagMs: number | null;
}

/** A moment that the scenario told of. */
export interface Mark {
	readonly seconds: number;
	readonly text: string;
}

export interface ErrorKind {
	readonly kind: string;
	/** A status, or what went wrong where there was none. */
	readonly what: string;
	readonly count: number;
}

export interface GeneratorResult {
	/** How late it noticed that a request was due: its own error, which is in every latency. */
	readonly lagMs: Pick<Latency, "p50" | "p99" | "max"> | null;
	/** Of one core: the mean, and the most of any second. */
	readonly cpu: { readonly mean: number; readonly max: number };
	readonly connectionsMax: number;
	readonly waitingMax: number;
	/** Where a figure says more of the generator than of the server. */
	readonly warnings: readonly string[];
}

export interface ThresholdResult {
	readonly text: string;
	/** In milliseconds, as a share of 1, per second, or a plain number; null where nothing was measured. */
	readonly value: number | null;
	readonly shown: string;
	readonly holds: boolean;
	/** False for those that only end the climb of a stress test. */
	readonly decides: boolean;
}

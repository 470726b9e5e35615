import type { SparseCounts } from "./histogram.ts";

/** A kind of request as the generator sends it: whole requests that are taken in turn. */
export interface PreparedKind {
	readonly name: string;
	readonly requests: readonly Uint8Array[];
	/** Where in each request ten characters stand that are another number each time. */
	readonly uniqueAt: readonly (readonly number[])[];
	/** Statuses that are right; every other one is an error. */
	readonly expects: readonly number[];
}

/** Arrivals on a schedule, whatever the server does. */
export interface OpenLoad {
	readonly model: "open";
	/** Arrivals per second at the beginning of the phase and at its end, in a straight line between. */
	readonly rateFrom: number;
	readonly rateTo: number;
	readonly mix: Mix;
}

/** Users who each wait for their answer, think, and ask again. */
export interface ClosedLoad {
	readonly model: "closed";
	readonly users: number;
	/** The mean; each pause is drawn from half of it to one and a half. */
	readonly thinkMs: number;
	/** In which the users come, one by one; at once when it is 0, each within a first pause. */
	readonly rampMs: number;
	readonly mix: Mix;
}

/** Number of a kind and its weight. */
export type Mix = readonly (readonly [kind: number, weight: number])[];

/** Loads that go on at once. */
export interface PhaseJob {
	readonly seconds: number;
	readonly loads: readonly (OpenLoad | ClosedLoad)[];
}

export interface Session {
	readonly host: string;
	readonly port: number;
	readonly tls: boolean;
	readonly kinds: readonly PreparedKind[];
	/** Decides the order of kinds and the pauses of users. */
	readonly seed: number;
	/** Connections of the open loads at once. */
	readonly connections: number;
	/** An arrival that finds as many waiting for a connection is dropped, and counted. */
	readonly waitingMax: number;
	readonly timeoutMs: number;
}

export type ToGenerator =
	| { readonly type: "open"; readonly session: Session }
	/** The next phases in a row. Answered with `done` when the last request has its answer. */
	| { readonly type: "run"; readonly phases: readonly PhaseJob[] }
	/** Ends what is asked for; the run is done when what is under way is. */
	| { readonly type: "stop" };

/** What was scheduled in one cell of the timeline, of one kind: added to what was told of it before. */
export interface CellReport {
	readonly cell: number;
	readonly kind: number;
	readonly offered: number;
	/** Arrivals that were never sent: too many waited already. */
	readonly dropped: number;
	/** By status, with the code of a refusal that was not expected, or by what went wrong where there was none. */
	readonly outcomes: Readonly<Record<string, number>>;
	/** Times from the scheduled moment, of right answers and of requests that timed out. */
	readonly times: SparseCounts;
	/** Right answers that came within this cell, whenever they were asked for. */
	readonly completed: number;
}

/** What is told every `flushMs`. */
export interface Pulse {
	readonly type: "pulse";
	readonly cells: readonly CellReport[];
	/** How late arrivals were noticed, by the cell of the pulse. */
	readonly cell: number;
	readonly lag: SparseCounts;
	/** Of one core, since the last pulse. */
	readonly cpu: number;
	readonly inFlight: number;
	readonly waiting: number;
	readonly connections: number;
}

export type FromGenerator =
	/** When the timeline begins: milliseconds since 1970, by the clock that every process reads. */
	| { readonly type: "ready"; readonly origin: number }
	/** When the first of the phases begins, and when they end: milliseconds of the timeline. */
	| { readonly type: "started"; readonly from: number }
	| Pulse
	| { readonly type: "done"; readonly to: number }
	| { readonly type: "failed"; readonly reason: string };

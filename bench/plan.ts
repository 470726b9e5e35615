import type { Figure } from "./figures.ts";

/** What a run was asked for, and where it tells how far it is. */
export interface Plan {
	/** Seconds of measuring for each figure of the section; `seconds.micro` for each algorithm and job. */
	readonly seconds: { readonly micro: number; readonly http: number };
	/** Keys made for each kind that is slow to make, at most. */
	readonly keys: number;
	/** Of the soak that the heap's slope is measured over; null for as long as seconds.http. */
	readonly requests: number | null;
	/** Records of the audit log at scale. */
	readonly rows: number;
	/** Whether a figure was asked for, by its id. */
	wants(id: string): boolean;
	/** Says on a terminal what goes on now; nothing elsewhere. */
	progress(line: string): void;
	done(figure: Figure): void;
	/** Aborted when the run is to end early. */
	readonly signal: AbortSignal;
}

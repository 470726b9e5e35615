import { sleep } from "./sleep.ts";

/** Leaves the thread to others, for so long, whenever so much was done since. */
export type Pace = (done: number) => Promise<void>;

/** What others do on the thread. */
export interface Others {
	/** How many of their requests have begun so far. */
	readonly begun: number;
	/** How many of them are not answered yet. */
	readonly inFlight: number;
}

export interface PaceBounds {
	/** How much is done in one go; a clock can not tell, because it stands still while work is done. */
	readonly each: number;
	/** How long others then have the thread, if there are any. */
	readonly restMs: number;
	/** How often it is looked whether one of them is under way, and how many times at the most. */
	readonly lookMs: number;
	readonly looksMax: number;
}

/**
 * Work beside others takes its turns between their requests: one that is under way has several steps, and
 * each may find the thread taken.
 */
export function createPace({ each, restMs, lookMs, looksMax }: PaceBounds, others: Others): Pace {
	let since = 0;
	let seen = others.begun;
	return async (done) => {
		since += done;
		if (since < each) return;
		since = 0;
		const isAlone = others.begun === seen;
		seen = others.begun;
		await sleep(isAlone ? 0 : restMs);
		for (let looks = 0; looks < looksMax && others.inFlight > 0; looks++) await sleep(lookMs);
	};
}

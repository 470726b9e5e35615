import type { Clock } from "./clock.ts";
import { sleep } from "./sleep.ts";

/** Leaves the thread to others whenever so much was done since. */
export type Pace = (done: number) => Promise<void>;

/** Leaves the thread to others after so many turns, which were made in one go. */
export type Rest = (turns: number) => Promise<void>;

/** @param each how much is one turn; a clock can not tell, because it stands still while work is done */
export function createPace(each: number, rest: Rest): Pace {
	let since = 0;
	return async (done) => {
		since += done;
		if (since < each) return;
		const turns = since / each;
		since = 0;
		await rest(turns);
	};
}

/** What others do on the thread. */
export interface Others {
	/** How many of their requests have begun so far. */
	readonly begun: number;
	/** How many of those are not answered yet. */
	readonly inFlight: number;
}

export interface RestBounds {
	/** After a turn others have the thread until so many of their requests have begun, by the pace of late. */
	readonly restRequests: number;
	/** And for no longer than this. What is more than a turn in one go has as many rests. */
	readonly restMs: number;
	/** How often it is looked whether none of them is under way, and how many times at the most. */
	readonly lookMs: number;
	readonly looksMax: number;
}

/**
 * The rests of work that is to keep up with what others do, and no more: it is faster the more they do, and
 * takes its turns between their requests, because each of their steps may find the thread taken.
 * Without others it has no rest, and only gives way.
 */
export function createRest(
	{ restRequests, restMs, lookMs, looksMax }: RestBounds,
	clock: Clock,
	others: Others,
	wait: (milliseconds: number) => Promise<void> = sleep,
): Rest {
	let seen = others.begun;
	let seenAt = clock();
	return async (turns) => {
		const [came, elapsed] = [others.begun - seen, clock() - seenAt];
		seen += came;
		seenAt += elapsed;
		await wait(came === 0 ? 0 : turns * Math.min(restMs, (restRequests / came) * elapsed));
		for (let looks = 0; looks < looksMax && others.inFlight > 0; looks++) await wait(lookMs);
	};
}

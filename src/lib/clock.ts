/** Milliseconds since the Unix epoch. Passed in wherever time matters, so that a test can hold it still. */
export type Clock = () => number;

/** The only place of the service that reads the time. */
export const systemClock: Clock = () => Date.now();

interface Steadiness {
	/** A time that is over, of an earlier life. */
	readonly from?: number;
	/** By how much that life was ahead of the given clock, in milliseconds. */
	readonly ahead?: number;
	/**
	 * So much is taken to have passed where the clock was set back, in milliseconds: how long it really was since
	 * this was last asked nobody knows. What ends then had better end too early.
	 */
	readonly unseenMs?: number;
	/** Set back by no more than this it has only been corrected. */
	readonly slackMs?: number;
}

/**
 * For how long something lasts, not for what time it is: where the given clock is set back, this one goes on from
 * where it was, at the same pace. Else a lease would live for an hour more, and no bucket fill for as long.
 */
export function steadyClock(
	clock: Clock,
	{ from = 0, ahead: known = 0, unseenMs = 0, slackMs = 0 }: Steadiness = {},
): Clock {
	let last = from;
	let ahead = known;
	return () => {
		const wall = clock();
		const back = last - ahead - wall;
		if (back > slackMs) last += unseenMs;
		if (back > 0) ahead = last - wall;
		else last = wall + ahead;
		return last;
	};
}

import type { Clock } from "./clock.ts";
import { sleep } from "./sleep.ts";

/** Leaves the thread to others whenever so much was done since. */
export type Pace = (done: number) => Promise<void>;

export interface PaceBounds {
	/** How much is done in one go; a clock can not tell, because it stands still while work is done. */
	readonly each: number;
	/** Then others have the thread until so many of their requests have begun, by the pace of late. */
	readonly restRequests: number;
	/** And for no longer than this. */
	readonly restMs: number;
}

/**
 * The pace of work that is to keep up with what others do, and no more: it is faster the more they do.
 * Without others it has no rest, and only gives way.
 * @param begun how many requests of others have begun so far
 */
export function createPace(
	{ each, restRequests, restMs }: PaceBounds,
	clock: Clock,
	begun: () => number,
): Pace {
	let since = 0;
	let seen = begun();
	let seenAt = clock();
	return async (done) => {
		since += done;
		if (since < each) return;
		since = 0;
		const [came, elapsed] = [begun() - seen, clock() - seenAt];
		seen += came;
		seenAt += elapsed;
		await sleep(came === 0 ? 0 : Math.min(restMs, (restRequests / came) * elapsed));
	};
}

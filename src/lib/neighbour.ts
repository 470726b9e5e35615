import type { Rest } from "./pace.ts";
import { sleep } from "./sleep.ts";
import { within } from "./within.ts";

/** A worker whose requests are served on the same thread (`Neighbour` in src/index.ts). */
export interface NeighbourRpc {
	/** Resolves when it has had the thread for long enough, after so many turns of ours. */
	rest(turns: number): Promise<void>;
}

/** Rests for as long as each of them needs it; without any, and where one does not answer, it only gives way. */
export function restFor(neighbours: readonly NeighbourRpc[], timeoutMs: number): Rest {
	const late = () => {}; // as good as one that has rested
	return async (turns) => {
		const rests = neighbours.map((one) => within(one.rest(turns), timeoutMs, late));
		await Promise.allSettled([sleep(0), ...rests]);
	};
}

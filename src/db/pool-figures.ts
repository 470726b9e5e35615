/** What a pool did, counted. */
export interface PoolCounts {
	/** Connections lent, and how long it took until they were: all together, and the slowest. */
	acquired: number;
	acquireMs: number;
	slowestAcquireMs: number;
	/** How many were lent within each of `acquireBoundsMs`, and in the last place those that took longer. */
	readonly acquiredWithin: number[];
	/** Who got none in time, and who was refused at once. */
	timeouts: number;
	refused: number;
	leaks: number;
	opened: number;
	closed: number;
	connectFailures: number;
}

/** Those, and how it is now. `overflow` is what of it is above the pool's size. */
export interface PoolFigures extends Readonly<PoolCounts> {
	readonly inUse: number;
	readonly idle: number;
	readonly waiting: number;
	readonly overflow: number;
}

/** What a pool tells its operator. */
export type PoolEvent =
	/** A connection that was lent and did not come back in time. */
	| { readonly event: "pool_leak"; readonly borrower: string; readonly milliseconds: number }
	/** All are closed, because nobody needed one for a while; what was done until then. */
	| ({ readonly event: "pool_rested" } & PoolFigures);

const acquireBoundsMs = [1, 5, 20, 100, 500, 2_000];

export function emptyFigures(): PoolCounts {
	return {
		acquired: 0,
		acquireMs: 0,
		slowestAcquireMs: 0,
		acquiredWithin: [...acquireBoundsMs, 0].map(() => 0),
		timeouts: 0,
		refused: 0,
		leaks: 0,
		opened: 0,
		closed: 0,
		connectFailures: 0,
	};
}

export function noteAcquired(counts: PoolCounts, milliseconds: number): void {
	const within = acquireBoundsMs.findIndex((bound) => milliseconds <= bound);
	const place = within < 0 ? acquireBoundsMs.length : within;
	counts.acquired++;
	counts.acquireMs += milliseconds;
	counts.slowestAcquireMs = Math.max(counts.slowestAcquireMs, milliseconds);
	counts.acquiredWithin[place] = (counts.acquiredWithin[place] ?? 0) + 1;
}

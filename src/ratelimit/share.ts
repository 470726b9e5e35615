/** Passes after which the share is near enough: each one only raises it. */
const passes = 4;

/**
 * The most that one may take so that `pool` does for all who claim some of it: who wants less gets
 * that, and the others the same each (max-min fairness). Infinity when there is enough for all.
 */
export function fairShare(pool: number, claims: readonly number[]): number {
	let share = 0;
	for (let pass = 0; pass < passes; pass++) {
		let left = pool;
		let large = 0;
		for (const claim of claims) {
			if (claim > share) large++;
			else left -= claim;
		}
		if (large === 0) return Number.POSITIVE_INFINITY;
		const next = left / large;
		if (next <= share) break;
		share = next;
	}
	return share;
}

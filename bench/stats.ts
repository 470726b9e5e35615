import { twoSidedP } from "../src/benchmark/student.ts";

/** The arithmetic behind every printed figure. Nothing here knows what was measured. */

/** A median with its confidence interval. */
export interface Interval {
	readonly median: number;
	readonly low: number;
	readonly high: number;
	/** The probability that an interval made this way holds the true median; 0.95 where `count` allows it. */
	readonly coverage: number;
	readonly count: number;
}

/** The value below which a share `p` (0 to 1) of the samples lies: the nearest rank, never interpolated. */
export function percentile(samples: ArrayLike<number>, p: number): number {
	const sorted = Float64Array.from(samples).sort();
	const value = sorted[nearestRank(p, sorted.length) - 1];
	if (value === undefined) throw new RangeError("a percentile needs at least one sample");
	return value;
}

/** From 1. The few last bits that a share and its product may be off are taken off: 99.9 % of 1,000 is 999. */
export function nearestRank(p: number, count: number): number {
	return Math.max(1, Math.ceil(p * count * (1 - 4 * Number.EPSILON)));
}

/** The middle of the samples, or the mean of the two in the middle. */
export function median(samples: ArrayLike<number>): number {
	const sorted = Float64Array.from(samples).sort();
	const upper = sorted[sorted.length >> 1];
	const lower = sorted[(sorted.length - 1) >> 1];
	if (upper === undefined || lower === undefined) {
		throw new RangeError("a median needs at least one sample");
	}
	return (lower + upper) / 2;
}

/**
 * The median and the interval between two order statistics that holds the true median with at
 * least `confidence`, whatever the distribution is (Conover, Practical Nonparametric Statistics,
 * section 3.2). Fewer than 6 samples can not reach 0.95: the interval is then all of them, and
 * `coverage` says how much that is worth.
 */
export function medianInterval(samples: readonly number[], confidence = 0.95): Interval {
	const sorted = Float64Array.from(samples).sort();
	const count = sorted.length;
	// Cutting k samples from each end leaves out the median with 2 P(Binomial(count, 1/2) < k).
	let cut = 1;
	let missed = 2 * binomialBelow(count, 1);
	for (;;) {
		const next = 2 * binomialBelow(count, cut + 1);
		if (next > 1 - confidence || 2 * cut >= count) break;
		cut++;
		missed = next;
	}
	const low = sorted[cut - 1];
	const high = sorted[count - cut];
	if (low === undefined || high === undefined) {
		throw new RangeError("a median needs at least one sample");
	}
	return { median: median(sorted), low, high, coverage: Math.max(0, 1 - missed), count };
}

/**
 * The ratio of each pair, as the median over all rounds taken two by two (Hodges and Lehmann), with the
 * interval of Wilcoxon's signed-rank test that holds it with at least `confidence` (Conover, section 5.7).
 * It is narrower than that of the median, and it may be: which side is first changes from round to round,
 * so the logarithms of the ratios lie alike on both sides of their middle. Too few samples give all of
 * their range, and `coverage` says how much that is worth.
 */
export function signedRankRatio(
	values: readonly number[],
	beside: readonly number[],
	confidence: number,
): Interval {
	const logs = inPairs(values, beside, (value, other) => Math.log(value / other));
	const means = logs.flatMap((log, i) => logs.slice(i).map((other) => (log + other) / 2));
	const sorted = Float64Array.from(means).sort();
	const { cut, missed } = rankCut(signedRankSums(logs.length), 1 - confidence);
	const [low, high] = [sorted[cut - 1], sorted[sorted.length - cut]];
	if (low === undefined || high === undefined) {
		throw new RangeError("a ratio needs at least one pair");
	}
	return {
		median: Math.exp(median(sorted)),
		low: Math.exp(low),
		high: Math.exp(high),
		coverage: Math.max(0, 1 - missed),
		count: logs.length,
	};
}

/**
 * The rank to count from each end so that at most a share `most` is missed, or 1 when none is so few.
 * @param chances of a symmetric statistic to be 0, 1, 2, ...
 */
function rankCut(chances: Float64Array, most: number): { cut: number; missed: number } {
	let cut = 1;
	let below = chances[0] ?? 1; // P(statistic < cut)
	while (2 * (below + (chances[cut] ?? 1)) <= most) below += chances[cut++] ?? 1;
	return { cut, missed: 2 * below };
}

/** P(W = w) for the sum W of the ranks 1 to n that a coin chose. */
function signedRankSums(n: number): Float64Array {
	const sums = new Float64Array((n * (n + 1)) / 2 + 1);
	sums[0] = 1;
	for (let rank = 1; rank <= n; rank++) {
		for (let w = (rank * (rank + 1)) / 2; w >= 0; w--) {
			sums[w] = ((sums[w] ?? 0) + (w >= rank ? (sums[w - rank] ?? 0) : 0)) / 2;
		}
	}
	return sums;
}

/** The ratio of each pair, as a median: what ran side by side is compared, and only that. */
export function pairedRatio(values: readonly number[], beside: readonly number[]): Interval {
	return medianInterval(inPairs(values, beside, (value, other) => value / other));
}

/**
 * A ratio of two figures that are made of all rounds together, as a percentile is; with the interval that the
 * ratios without one round each give, as Student's t of their logarithms (the jackknife: Tukey 1958; Efron and
 * Tibshirani, An Introduction to the Bootstrap, chapter 11). Where single rounds are too short for their own
 * percentile, a median of rounds tells more of what happened to be in them.
 */
export function pooledRatio(
	rounds: number,
	ratioOf: (rounds: readonly number[]) => number,
	confidence = 0.95,
): Interval {
	if (rounds < 2) throw new RangeError("a round can be left out of two and more");
	const all = Array.from({ length: rounds }, (_, round) => round);
	const logs = all.map((left) => Math.log(ratioOf(all.filter((round) => round !== left))));
	const mean = logs.reduce((sum, log) => sum + log, 0) / rounds;
	const squares = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0);
	const spread =
		studentQuantile(1 - confidence, rounds - 1) * Math.sqrt(((rounds - 1) / rounds) * squares);
	const ratio = ratioOf(all);
	return {
		median: ratio,
		low: ratio * Math.exp(-spread),
		high: ratio * Math.exp(spread),
		coverage: confidence,
		count: rounds,
	};
}

/** The t that is exceeded, on either side, with this probability. */
function studentQuantile(p: number, freedom: number): number {
	let [low, high] = [0, 1e6];
	for (let step = 0; step < 100; step++) {
		const middle = (low + high) / 2;
		if (twoSidedP(middle, freedom) > p) low = middle;
		else high = middle;
	}
	return high;
}

/** By how much the first of each pair is more, as a median. */
export function pairedDifference(values: readonly number[], beside: readonly number[]): Interval {
	return medianInterval(inPairs(values, beside, (value, other) => value - other));
}

/**
 * By how much `y` rises with each 1 of `x`: the median of the slopes between all pairs of points, with
 * Sen's interval (Sen 1968, doi:10.1080/01621459.1968.10480934) by the exact distribution of Kendall's
 * statistic. One outlier does not move it. Fewer than 5 points can not reach 0.95: the interval is then
 * that of all slopes, and `coverage` says how much that is worth.
 */
export function trend(
	points: readonly (readonly [x: number, y: number])[],
	confidence = 0.95,
): Interval {
	const slopes = points.flatMap(([x, y], index) =>
		points.slice(index + 1).flatMap(([x2, y2]) => (x2 === x ? [] : [(y2 - y) / (x2 - x)])),
	);
	const sorted = Float64Array.from(slopes).sort();
	const count = points.length;
	const { cut, missed } = rankCut(discordantPairs(count), 1 - confidence);
	// Points above each other have no slope: their pairs are taken from the middle.
	const left = ((count * (count - 1)) / 2 - sorted.length) / 2;
	const rank = Math.max(1, Math.floor(cut - left));
	const low = sorted[rank - 1] ?? Number.NaN;
	const high = sorted[sorted.length - rank] ?? Number.NaN;
	return { median: median(sorted), low, high, coverage: Math.max(0, 1 - missed), count };
}

/** P(D = d) for the number D of pairs that a shuffled row of n has in the wrong order. */
function discordantPairs(n: number): Float64Array {
	const chances = new Float64Array((n * (n - 1)) / 2 + 1);
	chances[0] = 1;
	// One more comes to stand before 0 to `placed` of the others, each as likely.
	for (let placed = 1; placed < n; placed++) {
		const without = Float64Array.from(chances);
		let sum = 0;
		for (let d = 0; d < chances.length; d++) {
			sum += (without[d] ?? 0) - (without[d - placed - 1] ?? 0);
			chances[d] = sum / (placed + 1);
		}
	}
	return chances;
}

function inPairs(
	values: readonly number[],
	beside: readonly number[],
	compare: (value: number, other: number) => number,
): number[] {
	if (values.length !== beside.length) {
		throw new RangeError(`${values.length} values can not be paired with ${beside.length}`);
	}
	return values.map((value, index) => compare(value, beside[index] ?? Number.NaN));
}

/** P(X < k) for X of Binomial(n, 1/2). Logarithms, because 2^-n is 0 for a large n. */
function binomialBelow(n: number, k: number): number {
	let logTerm = -n * Math.LN2;
	let sum = 0;
	for (let i = 0; i < k && i <= n; i++) {
		sum += Math.exp(logTerm);
		logTerm += Math.log((n - i) / (i + 1));
	}
	return sum;
}

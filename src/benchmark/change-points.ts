import { twoSidedP } from "./student.ts";

/** A place in a series where its level moves for good. */
export interface ChangePoint {
	/** Of the first value on the new level: the most likely one. */
	readonly index: number;
	/** The first and the last index at which the change may as well have been, with 95 % confidence. */
	readonly range: readonly [first: number, last: number];
	/** Means from the change before to this one, and from this one to the next. */
	readonly before: number;
	readonly after: number;
	/** Of Student's t-test between the two. */
	readonly p: number;
}

export interface ChangePointOptions {
	/** The probability that a series without a change shows one. */
	readonly falseAlarms?: number;
	/** Of the mean before it: what moves by less is left out. */
	readonly leastChange?: number;
}

const defaultFalseAlarms = 0.05;
/** A change has a p-value of at most this: what Otava asks for. */
const pMost = 0.001;
/** How much weaker a candidate may be until the others around it are known. */
const weakFactor = 10;
/** Fewer values have no level. */
const segmentMin = 3;
/** Values in the shortest windows; each row of windows is twice as long as the one before. */
const windowMin = 32;

/**
 * Where the level of a series of measurements changed, oldest first. E-divisive (Matteson and James 2014,
 * arXiv 1306.4933) finds where a window parts best; Student's t-test tells whether that is a change, as
 * in Hunter, now Apache Otava (arXiv 2301.03034): windows that overlap find changes which a long series
 * hides, weak candidates are kept at first, and then the weakest go until all that are left are strong.
 * Each of those is put where the squares on both sides are least, which is nearer to the truth.
 * Otava's window has one length. Here there is a row of each length up to the series, because a step that
 * is smaller than the noise shows only over many values.
 *
 * A value has to be independent of the one before it: a machine that drifts shows as changes.
 * Takes time in the square of the length: some 10 ms for 1,000 values.
 * @throws RangeError for a value that is not finite
 */
export function findChangePoints(
	values: readonly number[],
	{ falseAlarms = defaultFalseAlarms, leastChange = 0 }: ChangePointOptions = {},
): ChangePoint[] {
	const strange = values.findIndex((value) => !Number.isFinite(value));
	if (strange >= 0) throw new RangeError(`value ${strange} is ${values[strange]}, not a number`);
	// Every place in the series is tried, so each gets its share of the false alarms (Bonferroni).
	const pMax = Math.min(pMost, falseAlarms / values.length);
	const candidates = candidatesIn(values, pMax * weakFactor);
	const strong = withoutWeak(values, [...candidates].sort(ascending), pMax, leastChange);
	const last = withoutWeak(values, settled(values, strong), pMax, leastChange);
	return describe(values, last);
}

const ascending = (a: number, b: number) => a - b;

/** From the shortest windows to the whole series, each overlapping the next by half. */
function candidatesIn(values: readonly number[], pMax: number): Set<number> {
	const found = new Set<number>();
	for (let length = windowMin; ; length *= 2) {
		const step = Math.floor(length / 2);
		for (let start = 0; start === 0 || start + step < values.length; start += step) {
			bisect(values, start, Math.min(values.length, start + length), pMax, found);
		}
		if (length >= values.length) return found;
	}
}

/** Splits a window where it parts best, and both halves again, as long as the halves differ. */
function bisect(
	values: readonly number[],
	start: number,
	end: number,
	pMax: number,
	found: Set<number>,
): void {
	const at = bestSplit(values, start, end);
	if (at === null || compare(values, start, at, end).p > pMax) return;
	found.add(at);
	bisect(values, start, at, pMax, found);
	bisect(values, at, end, pMax, found);
}

/**
 * The index that divides values[start, end) with the greatest divergence between both sides: equation 5 of
 * the paper with alpha = 1, both sides of `segmentMin` values or more. Moving one value from the right to
 * the left changes the three sums of distances by that value's own ones.
 */
function bestSplit(values: readonly number[], start: number, end: number): number | null {
	let best: number | null = null;
	let most = Number.NEGATIVE_INFINITY;
	let [left, right, between] = [0, 0, 0];
	for (let i = start; i < end; i++) {
		for (let j = start; j < i; j++) right += distance(values, i, j);
	}
	for (let split = start + 1; split <= end - segmentMin; split++) {
		const moved = split - 1;
		let [toLeft, toRight] = [0, 0];
		for (let i = start; i < moved; i++) toLeft += distance(values, i, moved);
		for (let i = split; i < end; i++) toRight += distance(values, i, moved);
		left += toLeft;
		right -= toRight;
		between += toRight - toLeft;
		const [m, n] = [split - start, end - split];
		if (m < segmentMin) continue;
		const means =
			(2 * between) / (m * n) - (2 * left) / (m * (m - 1)) - (2 * right) / (n * (n - 1));
		const divergence = ((m * n) / (m + n)) * means;
		if (divergence > most) [most, best] = [divergence, split];
	}
	return best;
}

function distance(values: readonly number[], i: number, j: number): number {
	return Math.abs((values[i] ?? 0) - (values[j] ?? 0));
}

/** The two-sided t-test, with one variance for both sides. */
function compare(values: readonly number[], start: number, split: number, end: number) {
	const [left, right] = [momentsOf(values, start, split), momentsOf(values, split, end)];
	const difference = right.mean - left.mean;
	const tooFew = Math.min(split - start, end - split) < segmentMin;
	if (tooFew || difference === 0) return { before: left.mean, after: right.mean, p: 1 };
	const freedom = end - start - 2;
	const variance = (left.squares + right.squares) / freedom;
	const error = Math.sqrt(variance * (1 / (split - start) + 1 / (end - split)));
	return { before: left.mean, after: right.mean, p: twoSidedP(difference / error, freedom) };
}

/** The mean, and the sum of the squared distances from it. */
function momentsOf(values: readonly number[], start: number, end: number) {
	const part = values.slice(start, end);
	const mean = part.reduce((sum, value) => sum + value, 0) / part.length;
	const squares = part.reduce((sum, value) => sum + (value - mean) ** 2, 0);
	return { mean, squares };
}

/** Takes the weakest away until all that are left are strong beside their neighbours. */
function withoutWeak(
	values: readonly number[],
	candidates: readonly number[],
	pMax: number,
	leastChange: number,
): number[] {
	const kept = [...candidates];
	for (;;) {
		const tests = describeEach(values, kept, (start, split, end) =>
			compare(values, start, split, end),
		);
		const sizes = tests.map(({ before, after }) => Math.abs(after - before) / Math.abs(before));
		const weakest = indexOfMost(tests.map(({ p }) => p));
		if ((tests[weakest]?.p ?? 0) > pMax) {
			kept.splice(weakest, 1);
			continue;
		}
		const smallest = indexOfMost(sizes.map((size) => -size));
		if (!((sizes[smallest] ?? Number.POSITIVE_INFINITY) < leastChange)) return kept;
		kept.splice(smallest, 1);
	}
}

function indexOfMost(all: readonly number[]): number {
	return all.reduce((best, value, index) => (value > (all[best] ?? 0) ? index : best), 0);
}

/** Each change at its most likely place between its neighbours: the window that found it may have ended near. */
function settled(values: readonly number[], changes: readonly number[]): number[] {
	return describeEach(values, changes, (start, split, end) => {
		const squares = squaresBySplit(values, start, end);
		const least = Math.min(...squares.values());
		return [...squares.keys()].find((at) => squares.get(at) === least) ?? split;
	});
}

/** For each split of values[start, end), what is left of the squares when each side has its own mean. */
function squaresBySplit(
	values: readonly number[],
	start: number,
	end: number,
): Map<number, number> {
	const { mean, squares } = momentsOf(values, start, end);
	const count = end - start;
	const found = new Map<number, number>();
	let sum = 0; // of the left side; that of the right is its opposite
	for (let split = start + 1; split <= end - segmentMin; split++) {
		sum += (values[split - 1] ?? 0) - mean;
		const m = split - start;
		if (m < segmentMin) continue;
		found.set(split, Math.max(0, squares - (sum * sum * count) / (m * (count - m))));
	}
	return found;
}

function describeEach<T>(
	values: readonly number[],
	changes: readonly number[],
	of: (start: number, split: number, end: number) => T,
): T[] {
	return changes.map((split, at) =>
		of(changes[at - 1] ?? 0, split, changes[at + 1] ?? values.length),
	);
}

function describe(values: readonly number[], changes: readonly number[]): ChangePoint[] {
	return describeEach(values, changes, (start, index, end) => ({
		index,
		range: rangeOf(values, start, index, end),
		...compare(values, start, index, end),
	}));
}

/** Of the logarithm of a likelihood: (1 - exp(-x))^2 = 0.95 (Siegmund 1988, International Statistical Review 56, 31). */
const likelihoodDrop = -Math.log(1 - Math.sqrt(0.95));

/** The splits that are nearly as likely as the best one, for normal noise of one variance. */
function rangeOf(
	values: readonly number[],
	start: number,
	index: number,
	end: number,
): ChangePoint["range"] {
	const squares = squaresBySplit(values, start, end);
	const bound = (squares.get(index) ?? 0) * Math.exp((2 * likelihoodDrop) / (end - start));
	const likely = [...squares.keys()].filter((split) => (squares.get(split) ?? 0) <= bound);
	return [Math.min(index, ...likely), Math.max(index, ...likely)];
}

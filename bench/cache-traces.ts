/**
 * Reads that a cache is tried with: seeded, so that hit ratios are the same in every run. A trace is the
 * numbers of the names that are read, in order.
 */

export interface Trace {
	readonly name: string;
	/** What it stands for. */
	readonly about: string;
	readonly reads: Int32Array;
}

/** Numbers from 0 to below 1: mulberry32. */
function seededDraw(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
	};
}

/** Ranks from 0 to below `count`; the chance of rank i is as 1 / (i + 1) ** exponent. */
function zipf(count: number, exponent: number, draw: () => number): () => number {
	const sums = new Float64Array(count);
	let sum = 0;
	for (let i = 0; i < count; i++) {
		sum += (i + 1) ** -exponent;
		sums[i] = sum;
	}
	return () => {
		const target = draw() * sum;
		let low = 0;
		let high = count - 1;
		while (low < high) {
			const middle = (low + high) >> 1;
			if ((sums[middle] ?? 0) < target) low = middle + 1;
			else high = middle;
		}
		return low;
	};
}

const exponent = 0.99;

/** Of `names` names; those of a scan are beyond them. */
export function tracesOf(names: number, count: number): Trace[] {
	const trace = (
		name: string,
		about: string,
		seed: number,
		make: (rank: () => number, draw: () => number) => (index: number) => number,
	): Trace => {
		const draw = seededDraw(seed);
		const next = make(zipf(names, exponent, draw), draw);
		return { name, about, reads: Int32Array.from({ length: count }, (_, index) => next(index)) };
	};
	return [
		trace("zipf", "a few names are read most", 1, (rank) => () => rank()),
		trace("scan", "half of the reads go through names that are read once", 2, (rank, draw) => {
			let next = names;
			let left = 0;
			return () => {
				if (left === 0 && draw() < 2 / names) left = names / 2;
				if (left === 0) return rank();
				left--;
				return next++;
			};
		}),
		trace(
			"loop",
			"every second read goes round a fifth as many further names",
			3,
			(rank) => (index) => (index % 2 === 0 ? rank() : names + (((index - 1) / 2) % (names / 5))),
		),
		trace(
			"drift",
			"what is read most moves on by a name every 200 reads",
			4,
			(rank) => (index) => (rank() + Math.floor(index / 200)) % names,
		),
		trace(
			"jump",
			"other names are read most after each tenth of the reads",
			5,
			(rank) => (index) => (rank() * 7_919 + Math.floor((10 * index) / count) * 3_001) % names,
		),
	];
}

/** Bytes of a name's value: 100 to 1,900, by its number alone. */
export function bytesOf(number: number): number {
	return 100 + ((Math.imul(number, 0x9e3779b1) >>> 0) % 1_801);
}

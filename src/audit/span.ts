/** Where a chain is at one end of the day. */
interface ChainEnd {
	readonly sequence: number;
	readonly link: string;
}

/** What the day has of a chain. */
export interface ChainSpan {
	readonly chain: string;
	readonly records: number;
	readonly first: ChainEnd;
	readonly last: ChainEnd;
}

/** Numbers that follow each other, both ends included. */
export interface Gap {
	readonly from: number;
	readonly to: number;
}

interface Stretch {
	readonly low: number;
	readonly high: number;
}

/** Which numbers from one to another, both included, are in none of the stretches. */
export function gapsBetween(stretches: readonly Stretch[], first: number, last: number): Gap[] {
	const gaps: Gap[] = [];
	const note = (from: number, to: number) => {
		if (from <= to) gaps.push({ from, to });
	};
	let next = first;
	for (const { low, high } of [...stretches].sort((a, b) => a.low - b.low)) {
		note(next, Math.min(low - 1, last));
		next = Math.max(next, high + 1);
	}
	note(next, last);
	return gaps;
}

export function countOf(gaps: readonly Gap[]): number {
	return gaps.reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

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
	/** Which numbers they have; null where these are too many stretches, none where nobody noted them. */
	readonly numbers?: Numbers | null;
}

/** Stretches of numbers, both ends included: ascending, and none beside another. */
export type Numbers = readonly (readonly [from: number, to: number])[];

/** Numbers that follow each other, both ends included. */
export interface Gap {
	readonly from: number;
	readonly to: number;
}

export interface Stretch {
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

/** The numbers of all of these stretches, which may overlap. */
export function joined(stretches: Numbers): Numbers {
	const all: [number, number][] = [];
	for (const [from, to] of [...stretches].sort(([a], [b]) => a - b)) {
		const last = all.at(-1);
		if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
		else all.push([from, to]);
	}
	return all;
}

/** Where a stretch of the one kind has numbers of the other kind; both ascending. */
export function* overlapsOf<Some extends Stretch>(
	stretches: readonly Some[],
	numbers: Numbers,
): Generator<Gap & { readonly stretch: Some }> {
	let begin = 0;
	for (const stretch of stretches) {
		while ((numbers[begin]?.[1] ?? Number.POSITIVE_INFINITY) < stretch.low) begin++;
		for (let at = begin; at < numbers.length; at++) {
			const [from, to] = numbers[at] ?? [0, 0];
			if (from > stretch.high) break;
			yield { stretch, from: Math.max(from, stretch.low), to: Math.min(to, stretch.high) };
		}
	}
}

export function countOf(gaps: readonly Gap[]): number {
	return gaps.reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

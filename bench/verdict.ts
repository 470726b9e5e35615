import type { Figure, Verdict } from "./figures.ts";
import { median, signedRankRatio } from "./stats.ts";

/** The probability that a comparison of two that are the same calls any of its figures different. */
const falseAlarms = 0.01;
/** Less is never called a difference: where a process happens to lie in memory weighs as much. */
const leastDifference = 0.01;

/** Rates of one side that were measured round by round with those of the other. */
export interface Rates extends Pick<Figure, "id" | "unit" | "notes"> {
	readonly values: readonly number[];
	readonly besides: readonly number[];
}

/** Judges all figures of one comparison: the more there are, the surer each has to be (Bonferroni). */
export function judgeAll(all: readonly Rates[], beside: string): Figure[] {
	const confidence = 1 - falseAlarms / all.length;
	return all.map(({ values, besides, ...line }) => {
		const ratio = signedRankRatio(values, besides, confidence);
		return {
			...line,
			value: median(values),
			samples: values.length,
			beside: { name: beside, value: median(besides), ratio },
			verdict: verdictOf(ratio, confidence),
		};
	});
}

function verdictOf(
	{ median: middle, low, high, coverage }: ReturnType<typeof signedRankRatio>,
	confidence: number,
): Verdict {
	if (coverage < confidence) return "too few rounds";
	if (Math.abs(middle - 1) < leastDifference || (low <= 1 && high >= 1)) return "no difference";
	return middle < 1 ? "slower" : "faster";
}

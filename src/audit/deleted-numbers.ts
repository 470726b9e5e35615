import * as limits from "../limits.ts";
import { type ChainSpan, joined, type Numbers, type Stretch } from "./span.ts";

/**
 * Whether a day's records were deleted when the export began, so that it can have none of them; or later, so that it
 * may have some. null for a statement of before this was told.
 */
export type DeletedBefore = boolean | null;

/** What deleted days had of a chain. */
export interface DeletedOfChain {
	readonly spans: readonly ChainSpan[];
	/** How many records they had. */
	readonly records: number;
	/** Numbers that they had, and that can not come. */
	readonly gone: Numbers;
	/** Those of days that were deleted later. */
	readonly late: Numbers;
	/** From the first to the last number of days of which is known only how many they had. */
	readonly vague: readonly Stretch[];
	/** How many records of the days that were deleted later may have come: those without numbers, and all. */
	readonly lateVague: number;
	readonly lateRecords: number;
	/** Whether it is told of all when they were deleted. */
	readonly isDated: boolean;
}

type Kept = { -readonly [Name in keyof DeletedOfChain]: DeletedOfChain[Name] } & {
	readonly spans: ChainSpan[];
	readonly vague: Stretch[];
};

function nothing(): Kept {
	return {
		...{ spans: [], gone: [], late: [], vague: [] },
		...{ records: 0, lateVague: 0, lateRecords: 0 },
		isDated: true,
	};
}

/** What the statements of an export say that deleted days had. */
export class DeletedNumbers {
	readonly #chains = new Map<string, Kept>();
	/** Stretches of numbers in memory. Beyond the bound the numbers of more days are not known, only how many. */
	#stretches = 0;
	readonly #most: number;

	constructor(most: number = limits.auditVerifyStretches) {
		this.#most = most;
	}

	of(chain: string): DeletedOfChain {
		return this.#chains.get(chain) ?? nothing();
	}

	get chains(): Iterable<string> {
		return this.#chains.keys();
	}

	add({ numbers: told, ...span }: ChainSpan, isBefore: DeletedBefore): void {
		const known = this.#chains.get(span.chain) ?? nothing();
		this.#chains.set(span.chain, known);
		known.spans.push(span);
		known.records += span.records;
		known.isDated &&= isBefore !== null;
		const isLate = isBefore === false;
		if (isLate) known.lateRecords += span.records;
		const numbers = told ?? (isBefore === null ? null : wholeOf(span));
		if (numbers && this.#stretches + numbers.length <= this.#most) {
			const name = isLate ? "late" : "gone";
			const all = joined([...numbers, ...known[name]]); // the newest day comes first
			this.#stretches += all.length - known[name].length;
			known[name] = all;
		} else {
			known.vague.push({ low: span.first.sequence, high: span.last.sequence });
			if (isLate) known.lateVague += span.records;
		}
	}
}

/** The numbers of a day that had all from its first to its last; null for any other. */
function wholeOf({ records, first, last }: ChainSpan): Numbers | null {
	const isWhole = records === last.sequence - first.sequence + 1;
	return isWhole ? [[first.sequence, last.sequence]] : null;
}

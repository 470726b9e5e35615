import * as limits from "../limits.ts";

/** The part of what is sampled that stays when there is too much of it. */
const keptPart = 7 / 8;

/**
 * Spatial sampling (Waldspurger et al., "Efficient MRC Construction with SHARDS", FAST '15): a name is in
 * the sample when its hash is below a threshold, so that all of its reads are or none. The threshold is
 * lowered where the sample outgrows its room; the rate never rises.
 */
export class SpatialFilter {
	#rate = limits.cacheSamplePart;

	/** The part of all names that is in the sample. */
	get rate(): number {
		return this.#rate;
	}

	/** @param hash 32 bits, evenly spread */
	takes(hash: number): boolean {
		return hash < this.#rate * 0x1_0000_0000;
	}

	/** Lowers the rate. What was counted at the old one has to be multiplied with the answer. */
	lower(): number {
		this.#rate *= keptPart;
		return keptPart;
	}
}

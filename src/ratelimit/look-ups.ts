import { limits } from "../limits.ts";

/** A hash in hexadecimal and its part of the set. */
const hashBytes = 128;

/**
 * What looking a token up costs the address that it comes from. It is guesses that have to be paid for: each is a
 * reading of the database. A tenant's change makes an isolate forget its tokens, and all who use them come at once
 * then, often from one address.
 */
export class LookUps {
	/** By hash, those that were good when they were last looked up; the one that was first goes first. */
	readonly #good = new Set<string>();
	/** By hash, how many requests have one looked up now: they share a reading. */
	readonly #underWay = new Map<string, number>();

	/** Hundredths of a request; `begin` says that it was paid, or was free. */
	costOf(hash: string): number {
		if (this.#good.has(hash)) return 0;
		return this.#underWay.has(hash) ? limits.addressLookUpCost : limits.addressUnknownTokenCost;
	}

	begin(hash: string): void {
		this.#underWay.set(hash, (this.#underWay.get(hash) ?? 0) + 1);
	}

	/** @param isGood null where nobody could tell */
	end(hash: string, isGood: boolean | null): void {
		const others = (this.#underWay.get(hash) ?? 1) - 1;
		if (others > 0) this.#underWay.set(hash, others);
		else this.#underWay.delete(hash);
		if (isGood === false) this.#good.delete(hash);
		if (isGood !== true || this.#good.has(hash)) return;
		this.#good.add(hash);
		if (this.#good.size <= limits.goodTokensRemembered) return;
		const [oldest] = this.#good;
		if (oldest !== undefined) this.#good.delete(oldest);
	}

	/** About what it holds. */
	bytes(): number {
		return hashBytes * (this.#good.size + this.#underWay.size);
	}
}

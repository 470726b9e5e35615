import type { Bytes } from "../lib/bytes.ts";
import * as limits from "../limits.ts";
import { linkBytes, type NewBlock } from "./block.ts";

/**
 * Links of blocks that an object wrote and has not moved yet: it need not hash them again to do so.
 * A block that is not here, for want of room or because the object was evicted, is hashed.
 */
export class HeldLinks {
	readonly #bySequence = new Map<number, Bytes>();
	#records = 0;

	hold({ sequence, count, links }: NewBlock): void {
		if (this.#records + count > limits.auditLinksHeld) return;
		this.#bySequence.set(sequence, links);
		this.#records += count;
	}

	of(sequence: number): Bytes | undefined {
		return this.#bySequence.get(sequence);
	}

	/** Those up to a place of the chain have moved. */
	drop(until: number): void {
		for (const [sequence, { length }] of this.#bySequence) {
			if (sequence > until) break;
			this.#bySequence.delete(sequence);
			this.#records -= length / linkBytes;
		}
	}
}

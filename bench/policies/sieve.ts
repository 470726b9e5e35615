import type { Evictable, Eviction } from "../../src/cache/eviction.ts";
import { type Place, Queue } from "../../src/cache/queue.ts";

/** SIEVE (Zhang et al., NSDI '24): a hand goes from old to new, spares what was read since, and takes the rest. */
export class Sieve<Entry extends Evictable<Entry>> implements Eviction<Entry> {
	readonly #queue = new Queue<Entry>();
	#hand: Place<Entry> | null = null;

	add(entry: Entry): void {
		entry.reads = 0;
		this.#queue.push(entry.place);
	}

	touch(entry: Entry): void {
		entry.reads = 1;
	}

	remove(entry: Entry): void {
		if (this.#hand === entry.place) this.#hand = entry.place.newer;
		this.#queue.remove(entry.place);
	}

	evict(): Entry | undefined {
		let place = this.#hand ?? this.#queue.oldest;
		while (place && place.item.reads > 0) {
			place.item.reads = 0;
			place = place.newer ?? this.#queue.oldest;
		}
		if (!place) return undefined;
		this.#hand = place;
		this.remove(place.item);
		return place.item;
	}
}

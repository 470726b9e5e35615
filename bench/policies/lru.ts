import type { Evictable, Eviction } from "../../src/cache/eviction.ts";
import { Queue } from "../../src/cache/queue.ts";

/** What was read least recently goes: the bar that a policy has to clear. */
export class Lru<Entry extends Evictable<Entry>> implements Eviction<Entry> {
	readonly #queue = new Queue<Entry>();

	add(entry: Entry): void {
		this.#queue.push(entry.place);
	}

	touch(entry: Entry): void {
		this.#queue.remove(entry.place);
		this.#queue.push(entry.place);
	}

	remove(entry: Entry): void {
		this.#queue.remove(entry.place);
	}

	evict(): Entry | undefined {
		const place = this.#queue.oldest;
		if (!place) return undefined;
		this.#queue.remove(place);
		return place.item;
	}
}

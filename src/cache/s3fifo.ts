import type { Evictable, Eviction } from "./eviction.ts";
import { Queue } from "./queue.ts";

/** The part of the bytes that is for what has yet to show that it is read again. */
const smallPart = 0.1;
const readsCounted = 3;

/**
 * S3-FIFO (Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP '23), in bytes: what is
 * new waits in a small queue, and what nobody reads meanwhile leaves by its short way, so that a scan
 * pushes out little. What was read there, or comes back soon after it left, gets a place in the main
 * queue. A read only counts; nothing moves before there is no room. Chosen in docs/decisions/0021.
 */
export class S3Fifo<Entry extends Evictable<Entry>> implements Eviction<Entry> {
	readonly #small = new Queue<Entry>();
	readonly #main = new Queue<Entry>();
	/** The hashes of what left the small queue of late, in two generations: together as many as the main queue has. */
	#ghosts = new Set<number>();
	#olderGhosts = new Set<number>();
	#smallBytes = 0;
	#mainBytes = 0;
	#mainCount = 0;

	add(entry: Entry): void {
		entry.reads = 0;
		if (this.#ghosts.delete(entry.hash) || this.#olderGhosts.delete(entry.hash))
			this.#toMain(entry);
		else {
			this.#small.push(entry.place);
			this.#smallBytes += entry.bytes;
		}
	}

	touch(entry: Entry): void {
		if (entry.reads < readsCounted) entry.reads++;
	}

	remove(entry: Entry): void {
		const { queue } = entry.place;
		if (queue === this.#small) this.#smallBytes -= entry.bytes;
		else if (queue === this.#main) {
			this.#mainBytes -= entry.bytes;
			this.#mainCount--;
		}
		queue?.remove(entry.place);
	}

	/** Every step but the last uses up reads that were counted, so the work is paid by earlier hits. */
	evict(): Entry | undefined {
		for (;;) {
			const isSmallFull = this.#smallBytes >= smallPart * (this.#smallBytes + this.#mainBytes);
			const fromSmall = isSmallFull && this.#small.oldest;
			const place = fromSmall || (this.#main.oldest ?? this.#small.oldest);
			if (!place) return undefined;
			const entry = place.item;
			const wasSmall = place.queue === this.#small;
			this.remove(entry);
			if (entry.reads > 0) {
				entry.reads = wasSmall ? 0 : entry.reads - 1;
				this.#toMain(entry);
				continue;
			}
			if (wasSmall) this.#remember(entry.hash);
			return entry;
		}
	}

	#toMain(entry: Entry): void {
		this.#main.push(entry.place);
		this.#mainBytes += entry.bytes;
		this.#mainCount++;
	}

	#remember(hash: number): void {
		this.#ghosts.add(hash);
		if (this.#ghosts.size <= this.#mainCount / 2) return;
		this.#olderGhosts = this.#ghosts;
		this.#ghosts = new Set();
	}
}

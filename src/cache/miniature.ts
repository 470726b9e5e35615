import * as limits from "../limits.ts";
import type { Evictable, Eviction } from "./eviction.ts";
import { SpatialFilter } from "./filter.ts";
import { type Place, placeFor } from "./queue.ts";

/** The object, its place, and its part of the map and of the policy's memory. */
const standBytes = 180;

/** A name in a miniature. */
class Stand implements Evictable<Stand> {
	readonly hash: number;
	readonly bytes: number;
	reads = 0;
	readonly place: Place<Stand> = placeFor<Stand>(this);

	constructor(hash: number, bytes: number) {
		this.hash = hash;
		this.bytes = bytes;
	}
}

/**
 * A cache of another size in miniature (Waldspurger et al., "Cache Modeling and Optimization using Miniature
 * Simulations", ATC '17): names by a spatial sample, its size scaled with them, hashes in place of values.
 * Reuse distances tell what a cache of least recent use would hit; this tells it of the policy that we have.
 */
export class Miniature {
	readonly sizeBytes: number;
	readonly #filter = new SpatialFilter();
	readonly #eviction: Eviction<Stand>;
	readonly #held = new Map<number, Stand>();
	#heldBytes = 0;
	#reads = 0;
	#misses = 0;

	constructor(sizeBytes: number, eviction: Eviction<Stand>) {
		this.sizeBytes = sizeBytes;
		this.#eviction = eviction;
	}

	/** About what it holds itself. */
	get bytes(): number {
		return standBytes * this.#held.size;
	}

	/** @param hash of the name (hash.ts); @param bytes that its value holds in the cache */
	read(hash: number, bytes: number): void {
		this.pass(1);
		if (!this.#filter.takes(hash)) return;
		const known = this.#held.get(hash);
		if (known?.bytes === bytes) {
			this.#eviction.touch(known);
			return;
		}
		if (known) this.#remove(known);
		else this.#misses++;
		this.#add(new Stand(hash, bytes));
		while (this.#held.size > limits.cacheMiniatureNames) this.#thin();
	}

	/** So many reads were of names that are not in the sample. */
	pass(count: number): void {
		this.#reads += count;
		if (this.#reads <= limits.cacheCurveReads) return;
		this.#reads /= 2;
		this.#misses /= 2;
	}

	/** Part of the reads that the cache would miss, 0 to 1; against what the sample should have (reuse.ts). */
	missRatio(): number {
		const expected = this.#reads * this.#filter.rate;
		return expected === 0 ? 0 : Math.min(1, this.#misses / expected);
	}

	#add(stand: Stand): void {
		const room = this.sizeBytes * this.#filter.rate;
		while (this.#heldBytes + stand.bytes > room) {
			const gone = this.#eviction.evict();
			if (!gone) return;
			this.#held.delete(gone.hash);
			this.#heldBytes -= gone.bytes;
		}
		this.#eviction.add(stand);
		this.#held.set(stand.hash, stand);
		this.#heldBytes += stand.bytes;
	}

	#remove(stand: Stand): void {
		this.#eviction.remove(stand);
		this.#held.delete(stand.hash);
		this.#heldBytes -= stand.bytes;
	}

	#thin(): void {
		this.#misses *= this.#filter.lower();
		for (const stand of this.#held.values()) {
			if (!this.#filter.takes(stand.hash)) this.#remove(stand);
		}
	}
}

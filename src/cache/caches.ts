import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import * as limits from "../limits.ts";
import { CacheAnalysis } from "./analysis.ts";
import type { MemoryBudget } from "./budget.ts";
import {
	type MemoryBounds,
	type MemoryStore,
	type MemorySurroundings,
	memoryStore,
} from "./memory.ts";

/** A cache as it is shown: nothing in here can give a value or a name out. */
export interface ObservedCache {
	readonly name: string;
	readonly maxBytes: number;
	readonly counts: MemoryStore<unknown>["counts"];
	readonly analysis: CacheAnalysis;
}

interface Surroundings extends Pick<MemorySurroundings, "origin"> {
	readonly clock: Clock;
	readonly random: Random;
}

/** The isolate's caches, one for each kind of value: under one budget, and dropped together. */
export class Caches {
	readonly #surroundings: Surroundings;
	readonly #budget: MemoryBudget;
	readonly #stores: Pick<MemoryStore<unknown>, "dropTenant">[] = [];
	readonly #observed: ObservedCache[] = [];

	constructor(surroundings: Surroundings, budget: MemoryBudget) {
		this.#surroundings = surroundings;
		this.#budget = budget;
		budget.register({
			name: "analysis",
			shareBytes: limits.memoryAnalysisBytes,
			bytes: () => this.#observed.reduce((sum, { analysis }) => sum + analysis.bytes, 0),
		});
	}

	/** @param name of the kind of value; admins see it */
	add<Value>(name: string, bounds: MemoryBounds): MemoryStore<Value> {
		const analysis = new CacheAnalysis(bounds.bytes);
		const store = memoryStore<Value>(bounds, {
			...this.#surroundings,
			mayFill: this.#budget.mayFill,
			watch: (hash, bytes) => analysis.read(hash, bytes),
		});
		const maxBytes = bounds.bytes + limits.cacheNegativeBytes;
		this.#budget.register({
			name,
			shareBytes: maxBytes,
			bytes: store.heldBytes,
			release: store.release,
		});
		this.#stores.push(store);
		this.#observed.push({ name, maxBytes: bounds.bytes, counts: store.counts, analysis });
		return store;
	}

	get observed(): readonly ObservedCache[] {
		return this.#observed;
	}

	/** Answers how many entries there were. */
	dropTenant(tenant: string): number {
		return this.#stores.reduce((sum, store) => sum + store.dropTenant(tenant), 0);
	}
}

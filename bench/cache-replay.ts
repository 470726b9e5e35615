import type { Eviction } from "../src/cache/eviction.ts";
import { type MemorySurroundings, memoryStore } from "../src/cache/memory.ts";
import { S3Fifo } from "../src/cache/s3fifo.ts";
import type { Entry } from "../src/cache/shelf.ts";
import { bytesOf } from "./cache-traces.ts";
import { Lru } from "./policies/lru.ts";
import { Sieve } from "./policies/sieve.ts";

export type PolicyName = "LRU" | "SIEVE" | "S3-FIFO";

const policies: Readonly<Record<PolicyName, <Value>() => Eviction<Entry<Value>>>> = {
	LRU: () => new Lru(),
	SIEVE: () => new Sieve(),
	"S3-FIFO": () => new S3Fifo(),
};

const tenant = "bench";

/** The name that a trace's number stands for, as long as the ids of keys are. */
export function nameOf(number: number): string {
	return `019a0000-0000-7000-8000-${String(number).padStart(12, "0")}`;
}

/** A store in which nothing expires, so that its room alone decides. */
export function timelessStore(
	bytes: number,
	policy: PolicyName,
	watch?: MemorySurroundings["watch"],
) {
	const forever = Number.POSITIVE_INFINITY;
	const bounds = { entries: forever, bytes, ttlMs: forever, renewMs: forever };
	return memoryStore<number>(bounds, {
		clock: () => 0,
		random: () => new Uint8Array([1, 2, 3, 4]),
		eviction: policies[policy],
		...(watch && { watch }),
	});
}

/** Bytes of a cache that has room for all of the first `names` names. */
export function bytesOfAll(names: number): number {
	const store = timelessStore(Number.POSITIVE_INFINITY, "S3-FIFO");
	const since = store.now();
	for (let i = 0; i < names; i++) store.set(tenant, nameOf(i), i, bytesOf(i), since);
	return store.heldBytes();
}

/** Hit ratio over the reads from `from` on: what is before them fills the cache. */
export function replay(
	store: ReturnType<typeof timelessStore>,
	reads: Int32Array,
	names: readonly string[],
	from = 0,
): number {
	const since = store.now();
	let hits = 0;
	for (const [index, number] of reads.entries()) {
		const name = names[number] ?? nameOf(number);
		if (store.get(tenant, name) === undefined)
			store.set(tenant, name, number, bytesOf(number), since);
		else if (index >= from) hits++;
	}
	return hits / (reads.length - from);
}

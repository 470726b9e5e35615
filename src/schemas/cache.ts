import * as z from "zod";
import { limits } from "../limits.ts";
import { fence, keyRef } from "./fields.ts";

const count = z.int().min(0);
const bytes = z.number().min(0);
const share = z.number().min(0).max(1);

const point = z.object({
	bytes: bytes.meta({ description: "A size that the cache could have." }),
	missRatio: share.meta({ description: "Part of the reads that it would miss, by simulation." }),
	lruMissRatio: share.meta({
		description: "The same if the least recently used entry went, by reuse distances.",
	}),
});

const cache = z.object({
	name: z.string(),
	maxBytes: bytes,
	counts: z.object({
		hits: count,
		negativeHits: count.meta({ description: "Of names that are known not to be there." }),
		misses: count,
		renewals: count.meta({ description: "Of the misses, those that renewed an aged entry." }),
		evictions: count.meta({ description: "Entries that went for lack of room." }),
		expirations: count,
		drops: count.meta({ description: "Entries that went with a change of their tenant." }),
		entries: count,
		bytes,
	}),
	hitRatio: share.nullable().meta({ description: "Of all reads; null before the first one." }),
	reuse: z.object({
		first: share.meta({ description: "Part of the reads that were of nothing read before." }),
		distances: z.array(z.object({ fromBytes: bytes, toBytes: bytes, share })).meta({
			description: "How much else was read since the last read of the same, in bytes.",
		}),
	}),
	curve: z.array(point).meta({ description: "Estimated from a sample of the names." }),
	advice: z.string(),
});

const holder = z.object({ name: z.string(), bytes, shareBytes: bytes });

export const cacheReport = z
	.object({
		caches: z.array(cache),
		shared: z
			.object({
				hits: count,
				misses: count,
				failures: count.meta({ description: "Calls that failed, or took too long." }),
				refused: count.meta({ description: "Values that were there and did not open." }),
				writes: count,
				skipped: count.meta({ description: "Calls that were not made after others had failed." }),
			})
			.meta({ description: "What this isolate has of Redis." }),
		memory: z.object({
			bytes: bytes.meta({ description: "What the isolate accounts for." }),
			budgetBytes: bytes,
			pressure: z.enum(["none", "evicting", "full", "shedding"]),
			holders: z.array(holder),
		}),
	})
	.meta({ id: "CacheReport" });

export const purgeQuery = z.strictObject({ fence: fence.optional() });

export const purged = z
	.object({ droppedEntries: count.meta({ description: "That this isolate had of the tenant." }) })
	.meta({ id: "CachePurge" });

export const warmBody = z.strictObject({
	keys: z
		.array(keyRef)
		.min(1)
		.max(limits.warmKeys)
		.optional()
		.meta({ description: "Ids or names; left out for the keys that are used most." }),
});

export const warmed = z
	.object({ loadedKeys: z.array(z.string()), missingKeys: z.array(z.string()) })
	.meta({ id: "CacheWarming" });

import * as z from "zod/mini";
import { meta } from "../../lib/zod.ts";

const count = z.int().check(z.minimum(0));
const bytes = z.number().check(z.minimum(0));
const share = z.number().check(z.minimum(0), z.maximum(1));

const point = z.object({
	bytes: meta(bytes, { description: "A size that the cache could have." }),
	missRatio: meta(share, { description: "Part of the reads that it would miss, by simulation." }),
	lruMissRatio: meta(share, {
		description: "The same if the least recently used entry went, by reuse distances.",
	}),
});

const cache = z.object({
	name: z.string(),
	maxBytes: bytes,
	counts: z.object({
		hits: count,
		negativeHits: meta(count, { description: "Of names that are known not to be there." }),
		misses: count,
		renewals: meta(count, { description: "Of the misses, those that renewed an aged entry." }),
		evictions: meta(count, { description: "Entries that went for lack of room." }),
		expirations: count,
		drops: meta(count, { description: "Entries that went with a change of their tenant." }),
		entries: count,
		bytes,
	}),
	hitRatio: meta(z.nullable(share), { description: "Of all reads; null before the first one." }),
	reuse: z.object({
		sampledReads: meta(count, {
			description:
				"Of names in the sample: what is here, the curve and the advice are made of these.",
		}),
		first: meta(share, { description: "Part of the reads that were of nothing read before." }),
		distances: meta(z.array(z.object({ fromBytes: bytes, toBytes: bytes, share })), {
			description: "How much else was read since the last read of the same, in bytes.",
		}),
	}),
	curve: meta(z.array(point), { description: "Estimated from a sample of the names." }),
	advice: z.string(),
});

const holder = z.object({ name: z.string(), bytes, shareBytes: bytes });

export const cacheReport = meta(
	z.object({
		caches: z.array(cache),
		shared: meta(
			z.object({
				hits: count,
				misses: count,
				failures: meta(count, { description: "Calls that failed, or took too long." }),
				refused: meta(count, { description: "Values that were there and did not open." }),
				skipped: meta(count, { description: "Calls that were not made after others had failed." }),
			}),
			{
				description:
					"What this isolate reads of Redis; it is the tenants' objects that write there.",
			},
		),
		memory: z.object({
			bytes: meta(bytes, { description: "What the isolate accounts for." }),
			budgetBytes: bytes,
			pressure: z.enum(["none", "evicting", "full", "shedding"]),
			holders: z.array(holder),
		}),
	}),
	{ id: "CacheReport" },
);

export const purged = meta(
	z.object({
		droppedEntries: meta(count, { description: "That this isolate had of the tenant." }),
	}),
	{ id: "CachePurge" },
);

export const warmed = meta(
	z.object({ loadedKeys: z.array(z.string()), missingKeys: z.array(z.string()) }),
	{ id: "CacheWarming" },
);

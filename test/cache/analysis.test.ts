import { describe, expect, it } from "vitest";
import { CacheAnalysis } from "../../src/cache/analysis.ts";
import { hashOf } from "../../src/cache/hash.ts";
import { Miniature } from "../../src/cache/miniature.ts";
import { ReuseDistances } from "../../src/cache/reuse.ts";
import { S3Fifo } from "../../src/cache/s3fifo.ts";
import * as limits from "../../src/limits.ts";

/** Hashes that are in every sample, evenly apart. */
const sampled = (count: number) =>
	Array.from({ length: count }, (_, index) =>
		Math.floor((index * 2 ** 32 * limits.cacheSamplePart) / count),
	);

describe("the hash of a name", () => {
	it("spreads names of one pattern evenly", () => {
		const buckets = new Array(16).fill(0);
		for (let i = 0; i < 16_000; i++) buckets[hashOf("main", `key ${i}`) >>> 28]++;
		for (const count of buckets) expect(Math.abs(count - 1_000)).toBeLessThan(150);
	});

	it("tells tenants apart whose names join to the same text", () => {
		expect(hashOf("a", "bc")).not.toBe(hashOf("ab", "c"));
	});
});

describe("reuse distances", () => {
	/** Rounds over `count` names of 1,000 bytes, all of them in the sample. */
	function rounds(count: number, times: number, horizon = 1e9): ReuseDistances {
		const reuse = new ReuseDistances(horizon);
		for (let round = 0; round < times; round++) {
			for (const hash of sampled(count)) reuse.read(hash, 1_000);
		}
		return reuse;
	}

	it("are the bytes of the different names between two reads of one, scaled from the sample", () => {
		const [bucket, ...others] = rounds(100, 5).histogram();
		const distance = 100_000 / limits.cacheSamplePart;
		expect(others).toEqual([]);
		expect(bucket?.fromBytes).toBeLessThan(distance);
		expect(bucket?.toBytes).toBeGreaterThanOrEqual(distance);
		expect(bucket?.share).toBeCloseTo(0.8);
	});

	it("count a name that is read twice in a row as near, and one that is new as first", () => {
		const reuse = new ReuseDistances(1e9);
		for (const hash of sampled(50)) for (let i = 0; i < 4; i++) reuse.read(hash, 1_000);
		expect(reuse.firstShare()).toBeCloseTo(0.25);
		expect(reuse.histogram()).toHaveLength(1);
		expect(reuse.histogram()[0]?.toBytes).toBeLessThanOrEqual(16_384);
	});

	it("beyond the horizon are as good as new", () => {
		expect(rounds(100, 5, 50_000 / limits.cacheSamplePart).firstShare()).toBe(1);
		expect(rounds(100, 5, 110_000 / limits.cacheSamplePart).firstShare()).toBeCloseTo(0.2);
	});

	it("hold no more names than they may, and go on telling the right distance", () => {
		const reuse = rounds(20_000, 3);
		expect(reuse.bytes).toBeLessThan(150 * limits.cacheReuseNames);
		const distance = 20_000_000 / limits.cacheSamplePart;
		const near = reuse
			.histogram()
			.filter(({ toBytes, fromBytes }) => toBytes > 0.8 * distance && fromBytes < 1.25 * distance);
		expect(near.reduce((sum, { share }) => sum + share, 0)).toBeGreaterThan(0.6);
	});

	it("forget slowly what was long ago", () => {
		const reuse = new ReuseDistances(1e9);
		const [hash = 0] = sampled(1);
		for (let i = 0; i < 2.5 * limits.cacheCurveReads; i++) reuse.read(hash, 1_000);
		expect(reuse.reads).toBeLessThanOrEqual(limits.cacheCurveReads);
		expect(reuse.firstShare()).toBeLessThan(0.001);
	});
});

describe("a cache in miniature", () => {
	it("misses once what fits, and always what goes round and does not", () => {
		const roundBytes = 100_000 / limits.cacheSamplePart;
		const ratios = [2 * roundBytes, roundBytes / 4].map((size) => {
			const miniature = new Miniature(size, new S3Fifo());
			for (let round = 0; round < 10; round++) {
				// The others are read too.
				for (const hash of sampled(100)) {
					miniature.read(hash, 1_000);
					for (let other = 1; other < 1 / limits.cacheSamplePart; other++)
						miniature.read(2 ** 31 + other, 1_000);
				}
			}
			return miniature.missRatio();
		});
		expect(ratios[0]).toBeCloseTo(0.1);
		expect(ratios[1]).toBeGreaterThan(0.75);
	});
});

describe("advice", () => {
	/** Reads of all names in turn by chance, with the counts that a cache of that hit ratio has. */
	function adviceOf(names: number, cacheBytes: number, hitRatio: number): string {
		const analysis = new CacheAnalysis(cacheBytes);
		for (let i = 0; i < 400_000; i++) {
			analysis.read(hashOf("a", `${hashOf("draw", `${i}`) % names}`), 1_000);
		}
		const reads = 400_000;
		return analysis.advice({ hits: hitRatio * reads, misses: (1 - hitRatio) * reads });
	}

	it("says what twice the size would hit, where that is more", () => {
		expect(adviceOf(20_000, 10 * 1024 ** 2, 0.5)).toMatch(
			/^Twice the size \(20 MiB\) would hit 9\d % instead of [45]\d %\.$/,
		);
	});

	it("says that half would do, where that hits the same", () => {
		expect(adviceOf(1_000, 10 * 1024 ** 2, 0.99)).toMatch(/^Half the size \(5 MiB\) would do/);
	});

	it("does not sell room where time or changes are what takes entries away", () => {
		expect(adviceOf(1_000, 10 * 1024 ** 2, 0.6)).toMatch(/^More room would not help: it hits 60 %/);
	});

	it("is not given on a few reads of names in the sample", () => {
		const analysis = new CacheAnalysis(10 * 1024 ** 2);
		for (let i = 0; i < 5_000; i++) analysis.read(0xffff_ffff, 1_000); // in no sample
		const { sampledReads } = analysis.reuse();
		expect(sampledReads).toBe(0);
		expect(analysis.advice({ hits: 4_999, misses: 1 })).toBe(
			"The sample has 0 of 5000 reads, because few names are read; advice needs 100.",
		);
	});

	it("is not given on a few reads", () => {
		expect(new CacheAnalysis(1_000_000).advice({ hits: 3, misses: 4 })).toBe(
			`There were 7 reads; advice needs ${limits.cacheAdviceReads}.`,
		);
	});
});

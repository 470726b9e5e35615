import { describe, expect, it } from "vitest";
import {
	bytesOfAll,
	nameOf,
	type PolicyName,
	replay,
	timelessStore,
} from "../../bench/cache-replay.ts";
import { tracesOf } from "../../bench/cache-traces.ts";
import { CacheAnalysis } from "../../src/cache/analysis.ts";

/** Traces are seeded and samples go by hashes, so every ratio here is the same in every run. */
function groundOf(names: number, count: number) {
	const all = bytesOfAll(names);
	const texts = Array.from({ length: 3 * names }, (_, number) => nameOf(number));
	const traces = new Map(tracesOf(names, count).map(({ name, reads }) => [name, reads]));
	const readsOf = (trace: string) => traces.get(trace) ?? new Int32Array();
	const known = new Map<string, number>();
	const hitRatio = (trace: string, part: number, policy: PolicyName) => {
		const name = `${trace} ${part} ${policy}`;
		const ratio =
			known.get(name) ?? replay(timelessStore(part * all, policy), readsOf(trace), texts);
		known.set(name, ratio);
		return ratio;
	};
	return { all, texts, readsOf, hitRatio };
}

describe("room that decides by S3-FIFO", () => {
	const { hitRatio } = groundOf(10_000, 100_000);

	describe.each([1 / 32, 1 / 8, 1 / 4])("for %f of the names, by bytes", (part) => {
		it.each([
			["zipf", 0.01],
			["scan", 0.03],
			["loop", 0.01],
			["drift", 0.01],
		] as const)("hits more than by least recent use: %s, by %f at least", (trace, least) => {
			const gain = hitRatio(trace, part, "S3-FIFO") - hitRatio(trace, part, "LRU");
			expect(gain).toBeGreaterThan(least);
		});

		it.each(["zipf", "scan", "loop", "drift", "jump"])("is next to the best: %s", (trace) => {
			const others = (["LRU", "SIEVE"] as const).map((policy) => hitRatio(trace, part, policy));
			expect(hitRatio(trace, part, "S3-FIFO")).toBeGreaterThan(Math.max(...others) - 0.03);
		});
	});
});

it("three quarters of the names, by bytes, hit 95 % of a Zipf 0.99 trace once they are warm", () => {
	const { all, texts, readsOf } = groundOf(10_000, 300_000);
	const store = timelessStore(0.75 * all, "S3-FIFO");
	expect(replay(store, readsOf("zipf"), texts, 150_000)).toBeGreaterThan(0.95);
});

describe("the miss-ratio curve", () => {
	// Half of a scan is misses, which take longest, and its few names that are read again are soon sampled.
	it.each([
		["zipf", 14_000],
		["scan", 5_000],
	])("is within 2 points of measured at ten sizes: %s", (trace, names) => {
		const { all, texts, readsOf, hitRatio } = groundOf(names, 15 * names);
		const cacheBytes = all / 4;
		const analysis = new CacheAnalysis(cacheBytes);
		const watched = timelessStore(cacheBytes, "S3-FIFO", (hash, bytes) =>
			analysis.read(hash, bytes),
		);
		replay(watched, readsOf(trace), texts);
		const curve = analysis.curve();
		expect(curve).toHaveLength(10);
		for (const { bytes, missRatio, lruMissRatio } of curve) {
			const part = bytes / all;
			const errors = [
				1 - missRatio - hitRatio(trace, part, "S3-FIFO"),
				1 - lruMissRatio - hitRatio(trace, part, "LRU"),
			];
			for (const error of errors) expect(Math.abs(error)).toBeLessThan(0.02);
		}
	});

	it("needs a bounded memory, however many names there are", () => {
		const analysis = new CacheAnalysis(bytesOfAll(5_000));
		for (let i = 0; i < 300_000; i++) analysis.read(Math.imul(i, 0x9e3779b1) >>> 0, 10);
		expect(analysis.bytes).toBeLessThan(3 * 1024 ** 2);
		expect(analysis.curve().at(-1)?.missRatio).toBeGreaterThan(0.98);
	});
});

import { describe, expect, test } from "vitest";
import { runCache } from "../../bench/cache.ts";

describe("the benchmarks of the cache", () => {
	test.each(["cache/hit-ratio", "cache/curve", "cache/cost"])(
		"end soon after a request to end in %s, before they have a figure",
		async (id) => {
			const ending = new AbortController();
			const figures: unknown[] = [];
			const running = runCache({
				...{ seconds: { micro: 1, http: 1 }, keys: 1, rows: 1, requests: null },
				wants: (one) => one === id,
				// As a signal of the system: heard where this process pauses, and nowhere else.
				progress: () => setImmediate(() => ending.abort(new Error("enough"))),
				done: (figure) => figures.push(figure),
				signal: ending.signal,
			});
			await expect(running).rejects.toThrow("enough");
			expect(figures).toEqual([]);
		},
	);
});

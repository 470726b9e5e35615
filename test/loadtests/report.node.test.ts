import { describe, expect, it } from "vitest";
import {
	compareResults,
	comparisonToHtml,
	differencesOfRuns,
} from "../../loadtests/report/compare.ts";
import { toHtml } from "../../loadtests/report/html.ts";
import { formatResult } from "../../loadtests/report/text.ts";
import type { LoadResult } from "../../loadtests/results.ts";
import type { Summary } from "../../loadtests/timeline.ts";

const summaryOf = (p95: number, rate: number): Summary => ({
	...{ seconds: 10, offered: 100, right: 99, errors: 1, dropped: 0, rate },
	latency: { mean: 2, p50: 1, p90: 2, p95, p99: 2 * p95, p999: 3 * p95, max: 4 * p95 },
	outcomes: { 200: 99, 503: 1 },
});

function resultOf(p95: number, rate: number, more: Partial<LoadResult> = {}): LoadResult {
	const summary = summaryOf(p95, rate);
	const point = { offered: 10, rate, errors: 0, dropped: 0, hostile: 0, lagMs: 0.1 };
	return {
		...{ version: 1, scenario: "steady", summary: "a <test>", at: "2026-01-31T12:00:00.000Z" },
		...{ command: "npm run load", seed: 1, overall: summary, marks: [], server: [], passed: true },
		machine: {
			...{ processor: "one", cores: 2, memoryGiB: 4, system: "Linux", node: "v24" },
			loadBefore: 0,
		},
		target: { url: "http://127.0.0.1", isOwnStack: true },
		sizes: { rate: 10, seconds: 10, users: 0 },
		kinds: [{ ...summary, name: "sign", hostile: false, expects: [200] }],
		phases: [{ name: "steady", measured: true, from: 0, to: 10_000, summary }],
		series: [
			{ ...point, seconds: 1, latency: { p50: 1, p95, p99: p95 } },
			{ ...point, seconds: 2, latency: null },
			{ ...point, seconds: 3, latency: { p50: 1, p95, p99: p95 } },
		],
		errors: [{ kind: "sign", what: "503", count: 1 }],
		spectrum: [
			[0.5, 1],
			[0.95, p95],
			[1, 4 * p95],
		],
		generator: {
			...{ lagMs: { p50: 0.1, p99: 1, max: 2 }, cpu: { mean: 0.2, max: 0.3 } },
			...{ connectionsMax: 10, waitingMax: 0, warnings: ["it was <late>"] },
		},
		figures: [{ name: "knee", value: null, dimension: "rate", text: "none was found" }],
		thresholds: [{ text: "p95<5ms", value: p95, shown: `${p95} ms`, holds: true, decides: true }],
		...more,
	};
}

describe("a comparison", () => {
	it("has the ratio of every figure that is in both", () => {
		const found = compareResults(resultOf(10, 100), resultOf(15, 90));
		const of = (name: string, figure: string) =>
			found.find((one) => one.of === name && one.figure === figure)?.ratio;
		expect(of("all", "p95")).toBe(1.5);
		expect(of("sign", "rate")).toBe(0.9);
		expect(of("scenario", "knee")).toBeNull();
		// Nothing was dropped in either.
		expect(of("all", "dropped")).toBeUndefined();
	});

	it("tells where the two are not the same test", () => {
		const other = resultOf(10, 100, { sizes: { rate: 20, seconds: 10, users: 0 } });
		expect(differencesOfRuns(resultOf(10, 100), resultOf(12, 90))).toEqual([]);
		expect(differencesOfRuns(resultOf(10, 100), other)).toEqual(["rate: 10 before, 20 after"]);
		expect(comparisonToHtml(resultOf(10, 100), other)).toContain("rate: 10 before, 20 after");
	});
});

describe("a report", () => {
	it("has what was measured, and the baseline beside it", () => {
		const html = toHtml(resultOf(12.5, 80), resultOf(33.25, 70));
		for (const text of ["every threshold holds", "p95&lt;5ms", "12.5", "33.3", "before: 70.0 /s"]) {
			expect(html).toContain(text);
		}
	});

	it("has every text escaped, and a gap where nothing was answered", () => {
		const html = toHtml(resultOf(12.5, 80), null);
		expect(html).toContain("a &lt;test&gt;");
		expect(html).toContain("it was &lt;late&gt;");
		expect(html).not.toContain("NaN");
		// Two pieces of the p95, before the gap and after it.
		expect(html.match(/class="line b"/g)?.length).toBe(4);
	});

	it("is told on a terminal too", () => {
		const text = formatResult(resultOf(12.5, 80));
		for (const part of ["WARNING: it was <late>", "ok    p95<5ms", "error: sign: 503, 1 times"]) {
			expect(text).toContain(part);
		}
	});
});

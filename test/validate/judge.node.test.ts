import { describe, expect, test } from "vitest";
import type { Figure } from "../../bench/figures.ts";
import { type Judged, judge, type Measurements, passes } from "../../validate/judge.ts";
import { formatTable } from "../../validate/run.ts";
import { type Target, targets } from "../../validate/targets.ts";

function figure(id: string, value: number): Figure {
	return { id, unit: "ms", value, samples: 1 };
}

const none: Measurements = { figures: [], loads: new Map() };

function target(is: Target["goal"]["is"], limit: number): Target {
	return {
		...{ row: "S6", text: "something", unit: "ms", goal: { is, value: limit } },
		from: { by: "bench", run: "a", of: /^a\//, value: ({ value }) => value },
	};
}

function judged(is: Target["goal"]["is"], limit: number, ...values: number[]): Judged {
	const figures = values.map((value, index) => figure(`a/${index}`, value));
	return judge(target(is, limit), { ...none, figures: [...figures, figure("b/0", 0)] });
}

describe("a target", () => {
	test("is met or missed at its limit as its words say", () => {
		expect(judged("below", 100, 100).verdict).toBe("missed");
		expect(judged("at most", 100, 100).verdict).toBe("met");
		expect(judged("above", 100, 100).verdict).toBe("missed");
		expect(judged("at least", 100, 100).verdict).toBe("met");
	});

	test("of several figures is told by the worst, with its name", () => {
		expect(judged("below", 100, 3, 250, 7)).toMatchObject({ value: 250, note: "a/1" });
		expect(judged("at least", 0.9, 3, 0.2, 7)).toMatchObject({ value: 0.2, verdict: "missed" });
	});

	test("without a figure, or with one that is no number, is not measured", () => {
		expect(judged("below", 100)).toMatchObject({ value: null, verdict: "not measured" });
		expect(judged("below", 100, 3, Number.NaN).verdict).toBe("not measured");
	});

	test("that nothing can show yet is not built, and says what it needs", () => {
		const later: Target = { ...target("below", 1), from: { by: "nothing", needs: "a pool" } };
		expect(judge(later, none)).toMatchObject({ verdict: "not built", note: "needs a pool" });
	});
});

test("what is not built fails only a whole that is to have everything", () => {
	const line = judged("below", 100, 1);
	const later: Judged = { ...line, verdict: "not built" };
	expect(passes([line, later], false)).toBe(true);
	expect(passes([line, later], true)).toBe(false);
	expect(passes([line, { ...line, verdict: "missed" }], false)).toBe(false);
	expect(passes([line, { ...line, verdict: "not measured" }], false)).toBe(false);
});

test("the table has a line for each target and counts the verdicts", () => {
	const lines = formatTable([judged("below", 100, 1234), judged("above", 1, 2)]).split("\n");
	expect(lines[1]).toMatch(/^S6 +something +below 100 ms +1,234 +missed +a\/0$/);
	expect(lines.at(-1)).toBe("1 missed, 1 met");
});

test("every numeric target of the rows that ask for it is in the table", () => {
	const rows = new Set(targets.map(({ row }) => row));
	expect([...rows]).toEqual([
		"S6",
		"M2",
		"C1",
		"C6",
		"B3",
		"D3",
		"D5",
		"issue 2",
		"issue 4",
		"issue 5",
	]);
});

test("what is run for a target has the figures that it asks for", () => {
	// Ids as npm run bench gives them.
	const ids = [
		...["generate/Ed25519", "http/create/RS256-2048/stocked", "micro/ES256/sign"],
		...["micro/ES256K/digest/verify", "micro/Ed25519/sign", "http/batch/1000", "http/sign"],
		...["memory/peak", "memory/heap/under", "memory/slope", "micro/limiter", "limiter/cpu"],
		...["audit/sign", "audit/move", "queries/usage", "pool/20/connections"],
		...["pool/held/connections", "cache/hit-ratio/zipf/75.0%", "cache/curve/scan/worst"],
		...["audit/scale/page/cold/key", "audit/scale/export/parquet/heap/archive"],
	];
	for (const { text, from } of targets) {
		if (from.by !== "bench") continue;
		const wanted = ids.filter((id) => from.of.test(id));
		expect(wanted, text).not.toEqual([]);
		expect(
			wanted.filter((id) => !new RegExp(from.run, "i").test(id)),
			text,
		).toEqual([]);
	}
});

import { describe, expect, test } from "vitest";
import { flameData, flamePage } from "../../profile/flame.ts";
import type { ProfileReport } from "../../profile/report.ts";
import { formatReport } from "../../profile/report.ts";
import type { CallNode } from "../../profile/tree.ts";

function call(
	name: string,
	selfUs: number,
	children: CallNode[] = [],
	file = "src/app.ts",
): CallNode {
	const totalUs = children.reduce((sum, child) => sum + child.totalUs, selfUs);
	return { place: { name, file, line: 1 }, selfUs, totalUs, children };
}

const tree = call("(root)", 0, [
	call("serve", 500_000, [call("tiny", 1), call("</script><b>", 499_999)]),
	call("(idle)", 9_000_000, [], ""),
]);
const heap = {
	usedSize: 2 ** 21,
	totalSize: 2 ** 22,
	embedderHeapUsedSize: 0,
	backingStorageSize: 0,
};
const cost = { usPerRequest: 10, share: 0.5 };
const report: ProfileReport = {
	...{ version: 1, scenario: "sign", at: "2026-11-21T00:00:00Z", command: "npm run profile" },
	machine: { processor: "<fast>", cores: 2, memoryGiB: 1, system: "", node: "v24", loadBefore: 0 },
	...{ requests: 100, perSecond: 5_000, busyUs: 1_000_000, idleUs: 9_000_000, samples: 7 },
	phases: [
		{ name: "route", ...cost, mostly: ["serve 50 %"] },
		{ name: "sign", ...cost, mostly: [] },
	],
	functions: [{ name: "serve", file: "src/app.ts", line: 1, self: cost, total: cost }],
	heap: { before: heap, after: heap },
};

describe("the flame graph", () => {
	test("holds each call that is wide enough, and of the rest the time", () => {
		const { texts, calls, phases } = flameData(tree, report);
		expect(phases).toEqual(["route", "sign"]);
		const shown = calls.map(([name, where, phase, ownUs, children]) => ({
			...{ name: texts[name], where: texts[where], phase, ownUs },
			children: children.map(([child]) => texts[child]),
		}));
		expect(shown).toEqual([
			{
				name: "serve",
				where: "src/app.ts:1",
				phase: 0,
				ownUs: 500_001,
				children: ["</script><b>"],
			},
		]);
	});

	test("is one file that asks nobody for anything, whatever functions are called", async () => {
		const page = await flamePage(tree, report);
		expect(page.match(/<script/g)).toHaveLength(2);
		expect(page).not.toMatch(/(?:src|href)=|@import|url\(|<!-- \w+ -->/);
		expect(page).toContain("&#60;fast&#62;");
		const [, data = ""] =
			/<script id="data" type="application\/json">(.*?)<\/script>/s.exec(page) ?? [];
		expect(JSON.parse(data)).toEqual(JSON.parse(JSON.stringify(flameData(tree, report))));
	});

	test("the table for a person has the phases and the functions", () => {
		const text = formatReport(report);
		expect(text).toMatch(/^route +10\.00 +50\.0\s% +serve 50 %$/m);
		expect(text).toMatch(/^serve +10\.00 +50\.0\s% +10\.00 +50\.0\s% +src\/app\.ts:1$/m);
		expect(text).toContain("thread busy 10.0");
	});
});

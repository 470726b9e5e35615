import { describe, expect, test } from "vitest";
import type { CpuProfile, ProfileNode } from "../../local/inspector.ts";
import { outermost, phaseBelow, timePhases } from "../../profile/phases.ts";
import { busyTime, type CallNode, heaviest, type Place, toTree } from "../../profile/tree.ts";

/** `name file:line`, or a name alone for what is the runtime's. */
type Plan = readonly [text: string, children?: readonly Plan[]];

/** A profile of these calls, in which the samples name the functions on top, each with how long it lasted. */
function profileOf(plans: readonly Plan[], samples: readonly (readonly [string, number])[]) {
	const nodes: ProfileNode[] = [];
	const add = ([text, children = []]: Plan): number => {
		const [functionName = "", where = ""] = text.startsWith("(") ? [text] : text.split(" ");
		const [url = "", line = "0"] = where.split(":");
		const callFrame = { functionName, url, lineNumber: Number(line) - 1, columnNumber: 0 };
		const id = nodes.length + 1;
		const place = nodes.length;
		nodes.push({ id, callFrame });
		nodes[place] = { id, callFrame, children: children.map(add) };
		return id;
	};
	add(["(root)", plans]);
	const idOf = (name: string) =>
		nodes.findLast(({ callFrame }) => callFrame.functionName === name)?.id ?? 0;
	const profile: CpuProfile = {
		nodes,
		samples: samples.map(([name]) => idOf(name)),
		// The delta of a sample is the time since the one before: what a sample lasted is the next one's.
		timeDeltas: [70, ...samples.slice(0, -1).map(([, lasted]) => lasted)],
		startTime: 1000,
		endTime: 1000 + 70 + samples.reduce((sum, [, lasted]) => sum + lasted, 0),
	};
	return toTree(profile, placeOf);
}

function placeOf({ callFrame: { functionName: name, url: file, lineNumber } }: ProfileNode): Place {
	return { name, file, line: lineNumber + 1 };
}

function find(tree: CallNode, name: string): CallNode | undefined {
	if (tree.place.name === name) return tree;
	return tree.children.map((child) => find(child, name)).find(Boolean);
}

describe("the tree of calls", () => {
	test("a sample lasts until the next one, and the last until the end", () => {
		const tree = profileOf(
			[["a x.ts:1", [["b x.ts:2"]]], ["(idle)"]],
			[
				["a", 100],
				["b", 30],
				["(idle)", 1000],
				["b", 7],
			],
		);
		expect(find(tree, "a")).toMatchObject({ selfUs: 100, totalUs: 137 });
		expect(find(tree, "b")).toMatchObject({ selfUs: 37, totalUs: 37 });
		expect(tree.totalUs).toBe(1137);
		expect(busyTime(tree)).toBe(137);
	});

	test("what V8 keeps apart is one call where the place is the same", () => {
		const tree = profileOf([["a x.ts:1"], ["a x.ts:1"], ["a x.ts:9"]], [["a", 5]]);
		expect(tree.children.map(({ place }) => place.line)).toEqual([9, 1]);
	});

	test("a function that calls itself is counted once in its total", () => {
		const recursive: Plan = ["f x.ts:1", [["g x.ts:2", [["f x.ts:1", [["leaf x.ts:3"]]]]]]];
		const tree = profileOf(
			[recursive],
			[
				["leaf", 10],
				["g", 2],
			],
		);
		const totals = Object.fromEntries(
			heaviest(tree).map(({ place, selfUs, totalUs }) => [place.name, [selfUs, totalUs]]),
		);
		expect(totals).toEqual({ leaf: [10, 10], g: [2, 12], f: [0, 12] });
	});

	test("the heaviest come first, and idling is none of them", () => {
		const tree = profileOf(
			[["small x.ts:1"], ["(idle)"], ["large x.ts:2"]],
			[
				["small", 1],
				["(idle)", 500],
				["large", 2],
			],
		);
		expect(heaviest(tree).map(({ place }) => place.name)).toEqual(["large", "small"]);
	});
});

describe("the phases", () => {
	const times = (tree: CallNode) =>
		Object.fromEntries(
			timePhases(tree)
				.filter(({ selfUs }) => selfUs > 0)
				.map(({ name, selfUs }) => [name, selfUs]),
		);

	test("the innermost function that a line names decides, also for what it calls", () => {
		const tree = profileOf(
			[
				[
					"dispatch hono/dist/hono.js:1",
					[
						["admit src/routes/admission.ts:40", [["termNow src/ratelimit/lease.ts:9", [["get"]]]]],
						[
							"sign src/signing/sign.ts:70",
							[["loadUsableKey src/signing/loaded.ts:5"], ["subtleSign"]],
						],
						["toResponse src/routes/serve.ts:9", [["Response"]]],
					],
				],
			],
			[
				["dispatch", 1],
				["admit", 2],
				["get", 4],
				["loadUsableKey", 8],
				["subtleSign", 16],
				["Response", 32],
			],
		);
		expect(times(tree)).toEqual({
			route: 1,
			authenticate: 2,
			lease: 4,
			key: 8,
			sign: 16,
			answer: 32,
		});
	});

	test("what the move to Postgres calls is its own, whatever other lines say of it", () => {
		const tree = profileOf(
			[
				[
					"alarm durable-objects/audit-log.ts:9",
					[["leafOf src/audit/chain.ts:3", [["sha256 @noble/hashes/sha2.js:1"]]]],
				],
				["append durable-objects/audit-log.ts:5", [["linked src/audit/chain.ts:8"]]],
			],
			[
				["sha256", 3],
				["linked", 5],
			],
		);
		expect(times(tree)).toEqual({ "audit: to Postgres": 3, "audit: the object": 5 });
	});

	test("what is no function's, or nobody's, is told as that", () => {
		const tree = profileOf(
			[
				["(program)"],
				["(garbage collector)"],
				["(idle)"],
				["native"],
				["odd some-package/index.js:1"],
			],
			[
				["(program)", 1],
				["(garbage collector)", 2],
				["(idle)", 4],
				["native", 8],
				["odd", 16],
			],
		);
		expect(times(tree)).toEqual({
			"runtime: event loop, I/O": 9,
			"garbage collection": 2,
			"not attributed": 16,
		});
		expect(busyTime(tree)).toBe(27);
	});

	test("a folder's line is not about its neighbours", () => {
		const at = (file: string) => phaseBelow(outermost, { name: "f", file, line: 1 });
		expect(at("src/signing/sign.ts")).toBe("sign");
		expect(at("src/signing-page.ts")).toBe("not attributed");
		expect(at("other/src/signing/sign.ts")).toBe("not attributed");
	});
});

import { expect, test } from "vitest";
import { keptBytes } from "../../bench/heap-snapshot.ts";

const types = ["hidden", "string", "object", "code", "closure", "native", "object shape"];
const strings = [
	"",
	"system / WeakArrayList",
	"system / JSArrayBufferData",
	"workerd / AbortSignal",
];

function snapshotOf(...nodes: [type: string, name: number, size: number][]) {
	return {
		snapshot: {
			meta: { node_fields: ["type", "name", "id", "self_size"], node_types: [types, "string"] },
		},
		nodes: nodes.flatMap(([type, name, size], id) => [types.indexOf(type), name, id, size]),
		strings,
	};
}

test("what a program keeps counts, with its buffers and the runtime's objects behind it", () => {
	const kept = snapshotOf(["object", 0, 1], ["string", 0, 2], ["closure", 0, 4]);
	expect(keptBytes(kept)).toBe(7);
	expect(keptBytes(snapshotOf(["native", 2, 8], ["native", 3, 16]))).toBe(24);
});

test("machine code and what V8 notes of it do not", () => {
	const engine = snapshotOf(
		...(
			[
				["code", 0, 1],
				["hidden", 0, 2],
				["object shape", 0, 4],
				["native", 1, 8],
			] as const
		).map(([type, name, size]): [string, number, number] => [type, name, size]),
	);
	expect(keptBytes(engine)).toBe(0);
});

test("a snapshot of another form is refused", () => {
	const other = snapshotOf();
	other.snapshot.meta.node_fields = ["type", "name"];
	expect(() => keptBytes(other)).toThrow("no self_size");
});

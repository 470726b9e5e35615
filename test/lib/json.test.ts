import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJson } from "../../src/lib/json.ts";

/** How deep a value is nested, counted on the value itself. */
function depthOf(value: unknown): number {
	if (typeof value !== "object" || value === null) return 0;
	return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

/** Texts full of what a scanner could stumble over. */
const tricky = fc
	.array(
		fc.constantFrom('"', "\\", "{", "[", "]", "}", ":", ",", "a", "\n", "\u2028", "é", "\\u0022"),
		{
			maxLength: 10,
		},
	)
	.map((parts) => parts.join(""));
const { value } = fc.letrec((tie) => ({
	value: fc.oneof(
		{ maxDepth: 6 },
		tricky,
		fc.double(),
		fc.boolean(),
		fc.constant(null),
		fc.array(tie("value"), { maxLength: 3 }),
		fc.dictionary(tricky, tie("value"), { maxKeys: 3 }),
	),
}));

const names = 1_000;

describe("parseJson", () => {
	it("reads what JSON.parse reads, to the depth that is allowed, and refuses one level more", () => {
		fc.assert(
			fc.property(value, fc.constantFrom(0, 2), (given, indent) => {
				const text = JSON.stringify(given, null, indent);
				const depth = depthOf(JSON.parse(text));
				expect(parseJson(text, depth, names)).toEqual({ ok: true, value: JSON.parse(text) });
				if (depth > 0)
					expect(parseJson(text, depth - 1, names)).toEqual({ ok: false, error: "too_deep" });
			}),
			{ numRuns: 500 },
		);
	});

	it("refuses what JSON.parse refuses, and never throws", () => {
		const damaged = fc.tuple(value, fc.nat(), tricky).map(([given, at, added]) => {
			const text = JSON.stringify(given);
			const cut = at % (text.length + 1);
			return text.slice(0, cut) + added + text.slice(cut + 1);
		});
		fc.assert(
			fc.property(fc.oneof(damaged, tricky, fc.string()), (text) => {
				const parsed = parseJson(text, 1_000, names);
				// There are tests of their own for what JSON.parse takes.
				if (!parsed.ok && ["repeated_name", "inexact_number"].includes(parsed.error)) return;
				let expected: unknown;
				try {
					expected = { ok: true, value: JSON.parse(text) };
				} catch {
					expected = { ok: false, error: "invalid_json" };
				}
				expect(parsed).toEqual(expected);
			}),
			{ numRuns: 1_000 },
		);
	});

	it.each([
		['{"a":1,"a":1}', false],
		['{"a":1,"b":{"c":[{"d":1,\n"d"\t:2}]}}', false],
		['{"a":1,"\\u0061":2}', false],
		['{"\\"":1,"\\u0022":2}', false],
		['{"__proto__":1,"__proto__":2}', false],
		['{"a":{"a":{"a":1}},"b":{"a":1}}', true],
		['[{"a":1},{"a":1}]', true],
		['{"a":"a","b":"a:","c":["a","a",":"]}', true],
		['{"a":"\\"a\\":","\\"a":1}', true],
		['{"a":1,"A":2,"":3," ":4}', true],
	])("reads %s, unless an object has a name twice", (text, isRead) => {
		const parsed = parseJson(text, 10, names);
		if (isRead) expect(parsed).toEqual({ ok: true, value: JSON.parse(text) });
		else expect(parsed).toEqual({ ok: false, error: "repeated_name" });
	});

	it("refuses more names than are looked at, wherever they are", () => {
		const objects = (count: number) =>
			JSON.stringify(Array.from({ length: count }, () => ({ a: 1 })));
		expect(parseJson(objects(names), 10, names).ok).toBe(true);
		const refused = { ok: false, error: "too_many_names" };
		expect(parseJson(objects(names + 1), 10, names)).toEqual(refused);
		const many = Object.fromEntries(Array.from({ length: names }, (_, n) => [`${n}`, n]));
		const hidden = `{"b":${JSON.stringify(many)},"a":1,"a":2}`;
		expect(parseJson(hidden, 10, names)).toEqual(refused);
	});

	it("keeps a member called __proto__ as a member", () => {
		const parsed = parseJson('{"__proto__":{"a":1}}', 5, names);
		expect(parsed.ok && Object.keys(parsed.value as object)).toEqual(["__proto__"]);
	});

	it.each([
		["brackets in a text", '["[[[[[[", "{{{{{"]', 1, true],
		["a quote in a text", '["\\"[[[["]', 1, true],
		["a backslash at a text's end", '["\\\\",[]]', 2, true],
		["a backslash at a text's end, one level more", '["\\\\",[]]', 1, false],
		["many backslashes before a quote", `["${"\\\\".repeat(50)}\\"["]`, 1, true],
		["levels beside each other", "[[],[],[],[]]", 2, true],
	])("counts levels, not %s", (_, text, depth, read) => {
		expect(parseJson(text, depth, names).ok).toBe(read);
	});

	it("refuses a hundred thousand levels without building one, and closing ones do not pay for them", () => {
		expect(parseJson("[".repeat(100_000), 16, names)).toEqual({ ok: false, error: "too_deep" });
		expect(parseJson(`${"]".repeat(1_000)}${"[".repeat(1_000)}`, 16, names).ok).toBe(false);
	});

	it("reads a long text in a time that grows with its length alone", () => {
		const texts = [
			`"${"a".repeat(2_000_000)}"`,
			`"${"\\\\".repeat(1_000_000)}"`,
			`"${'\\"'.repeat(1_000_000)}"`,
			`"${"\\".repeat(1_999_999)}"`,
		];
		for (const text of texts) {
			const start = performance.now();
			parseJson(text, 16, names);
			expect(performance.now() - start).toBeLessThan(20_000);
		}
	});

	it.each([
		"4503599627370497.5",
		"0.1234567890123456789",
		"1e-400",
		"1.0000000000000000000000000001",
		"123456789012345678901234567890.5",
		"1234567890123456789e3",
		`0.${"1".repeat(200)}`,
	])("refuses %s, which no double is", (number) => {
		const refused = { ok: false, error: "inexact_number" };
		for (const text of [number, `-${number}`, `[1,${number}]`, `{"a":{"b":${number}}}`]) {
			expect(parseJson(text, 5, names)).toEqual(refused);
		}
	});

	it.each([
		"0.1",
		"0.10000000000000001", // the same with 17 digits, as C writes it
		"1.10",
		"100.000",
		"0.0000",
		"0e5",
		"1e22",
		"1.5E+300",
		"5e-324",
		// As JSON.stringify writes them, where toPrecision has another last digit.
		"85687495124489.62",
		"1732958400123456.2",
		"5.684341886080802e-14",
		"2.50e-7",
		"123456789.123456",
		"1e400", // a schema says what is wrong with it
		"12345678901234567890",
		'"0.1234567890123456789"',
	])("takes %s", (text) => {
		expect(parseJson(text, 5, names)).toEqual({ ok: true, value: JSON.parse(text) });
		expect(parseJson(`[${text}]`, 5, names).ok).toBe(true);
	});

	it("takes every double as JSON writes it, and to any number of digits", () => {
		fc.assert(
			fc.property(
				fc.double({ noNaN: true, noDefaultInfinity: true }),
				fc.integer({ min: 1, max: 100 }),
				(number, digits) => {
					expect(parseJson(String(number), 1, names).ok).toBe(true);
					const [exact, cut] = [number.toPrecision(100), number.toPrecision(digits)];
					expect(parseJson(exact, 1, names).ok).toBe(true);
					// Cut to fewer than 17 digits it is another double, which is taken for what it is.
					expect(parseJson(cut, 1, names).ok).toBe(true);
				},
			),
			{ numRuns: 1_000 },
		);
	});
});

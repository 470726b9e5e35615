import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inScope, matchesPattern, toLike } from "../../src/auth/patterns.ts";
import { ownerSql } from "../support/tenant.ts";

/** The same glob by the platform's regular expressions: the oracle. */
function byRegExp(pattern: string, name: string): boolean {
	const parts = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
	return new RegExp(`^${parts.join("[\\s\\S]*")}$`).test(name);
}

/** Few letters, so that patterns often match; and what SQL, globs and regular expressions treat apart. */
const alphabet = ["a", "b", "-", ".", "_", "%", "\\"];
const name = fc
	.array(fc.constantFrom(...alphabet), { maxLength: 12 })
	.map((parts) => parts.join(""));
const pattern = fc
	.array(fc.constantFrom(...alphabet, "*", "*"), { maxLength: 8 })
	.map((parts) => parts.join(""));

describe("a pattern over key names", () => {
	it.each([
		["", "", true],
		["", "a", false],
		["*", "", true],
		["*", "anything", true],
		["**", "anything", true],
		["a", "a", true],
		["a", "A", false],
		["a", "aa", false],
		["pay-*", "pay-", true],
		["pay-*", "pay-1", true],
		["pay-*", "pay", false],
		["*-pay", "x-pay", true],
		["*-pay", "x-pays", false],
		["a*b*c", "abc", true],
		["a*b*c", "aXbYc", true],
		["a*b*c", "acb", false],
		["*ab", "aab", true],
		["*aab*", "aaab", true],
		["a.c", "abc", false],
		["a?", "ab", false],
		["[a]", "a", false],
	])("%j against %j is %s", (given, against, expected) => {
		expect(matchesPattern(given, against)).toBe(expected);
	});

	it("agrees with a regular expression", () => {
		fc.assert(
			fc.property(pattern, name, (given, against) => {
				expect(matchesPattern(given, against)).toBe(byRegExp(given, against));
			}),
			{ numRuns: 3_000 },
		);
	});

	it("matches every name that it was made of", () => {
		const pieces = fc.array(fc.tuple(name, fc.boolean()), { minLength: 1, maxLength: 5 });
		fc.assert(
			fc.property(pieces, (parts) => {
				const made = parts.map(([text, starred]) => (starred ? "*" : text)).join("");
				const whole = parts.map(([text]) => text).join("");
				expect(matchesPattern(made, whole)).toBe(true);
			}),
		);
	});

	it("is quick where a careless matcher takes a lifetime", () => {
		const given = `${"*a".repeat(60)}b`;
		let start = performance.now();
		expect(matchesPattern(given, "a".repeat(128))).toBe(false);
		expect(performance.now() - start).toBeLessThan(20_000);
		start = performance.now();
		expect(matchesPattern("*".repeat(128), "a".repeat(128))).toBe(true);
		expect(performance.now() - start).toBeLessThan(20_000);
	});
});

describe("the scope of a token", () => {
	it("is every key without patterns, and none with an empty list", () => {
		expect(inScope(null, "anything")).toBe(true);
		expect(inScope([], "anything")).toBe(false);
	});

	it("is what any one of its patterns matches", () => {
		fc.assert(
			fc.property(fc.array(pattern, { maxLength: 4 }), name, (patterns, against) => {
				expect(inScope(patterns, against)).toBe(patterns.some((one) => byRegExp(one, against)));
			}),
		);
	});
});

describe("the pattern as SQL's LIKE", () => {
	it.each([
		["pay-*", "pay-%"],
		["100%", "100\\%"],
		["a_b*", "a\\_b%"],
		["a\\*", "a\\\\%"],
	])("writes %j as %j", (given, like) => {
		expect(toLike(given)).toBe(like);
	});

	it("agrees with the glob on PostgreSQL", async () => {
		const pairs = fc.sample(fc.tuple(pattern, name), 4_000);
		const rows = await ownerSql().query(
			`select t.name like t.pattern as matches
			from unnest($1::text[], $2::text[]) with ordinality as t (name, pattern, at) order by t.at`,
			[pairs.map(([, against]) => against), pairs.map(([given]) => toLike(given))],
		);
		const wrong = pairs.filter(
			([given, against], i) => rows[i]?.matches !== matchesPattern(given, against),
		);
		expect(rows).toHaveLength(pairs.length);
		expect(wrong).toEqual([]);
		// Both answers are well represented, or the comparison would say little.
		const matching = rows.filter((row) => row.matches).length;
		expect(matching).toBeGreaterThan(100);
		expect(matching).toBeLessThan(3_900);
	});
});

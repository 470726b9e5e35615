import { describe, expect, it } from "vitest";
import { parseIdempotencyKey } from "../../src/idempotency/header.ts";

describe("the value of Idempotency-Key", () => {
	it.each([
		["a UUID", "8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"],
		["the same as a quoted string", '"8e03978e-40d5"', "8e03978e-40d5"],
		["one character", "a", "a"],
		["255 characters", "k".repeat(255), "k".repeat(255)],
		["255 characters in quotes", `"${"k".repeat(255)}"`, "k".repeat(255)],
		["every kind of sign", "!~/+={}|,;", "!~/+={}|,;"],
		["a quote inside", 'a"b', 'a"b'],
		["escapes in a quoted string", '"a\\"b\\\\c"', 'a"b\\c'],
		["a backslash without quotes", "a\\b", "a\\b"],
	])("is taken: %s", (_, header, key) => {
		expect(parseIdempotencyKey(header)).toEqual({ ok: true, value: key });
	});

	it.each([
		["empty", ""],
		["an empty string in quotes", '""'],
		["256 characters", "k".repeat(256)],
		["256 characters in quotes", `"${"k".repeat(256)}"`],
		["a space", "a b"],
		["a space in quotes", '"a b"'],
		["two headers, which arrive as a list", "a, b"],
		["a tab", "a\tb"],
		["a letter beyond ASCII", "schlüssel"],
		["a quote that does not end", '"abc'],
		["an escape of something else", '"a\\n"'],
		["text behind the string", '"abc"; q=1'],
	])("is refused: %s", (_, header) => {
		const parsed = parseIdempotencyKey(header);
		expect(parsed).toMatchObject({ ok: false, error: { code: "invalid_idempotency_key" } });
		expect(!parsed.ok && parsed.error.detail).toContain("1 to 255 visible ASCII characters");
	});
});

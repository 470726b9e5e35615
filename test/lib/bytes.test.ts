import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	concat,
	equalConstantTime,
	fromBase64,
	fromBase64Url,
	toBase64,
	toBase64Url,
	toHex,
	utf8,
} from "../../src/lib/bytes.ts";

const anyBytes = fc.uint8Array({ maxLength: 100 });

describe("base64", () => {
	it.each([
		["", ""],
		["f", "Zg=="],
		["fo", "Zm8="],
		["foo", "Zm9v"],
		["foob", "Zm9vYg=="],
		["fooba", "Zm9vYmE="],
		["foobar", "Zm9vYmFy"],
	])("agrees with RFC 4648 section 10 on %j", (text, encoded) => {
		expect(toBase64(utf8(text))).toBe(encoded);
		expect(toBase64Url(utf8(text))).toBe(encoded.replace(/=/g, ""));
		expect(fromBase64(encoded)).toEqual(utf8(text));
		expect(fromBase64(encoded.replace(/=/g, ""))).toEqual(utf8(text));
	});

	it("reads back whatever bytes it wrote, in both alphabets", () => {
		fc.assert(
			fc.property(anyBytes, (bytes) => {
				expect(fromBase64(toBase64(bytes))).toEqual(new Uint8Array(bytes));
				expect(fromBase64(toBase64Url(bytes))).toEqual(new Uint8Array(bytes));
				expect(fromBase64Url(toBase64Url(bytes))).toEqual(new Uint8Array(bytes));
			}),
		);
	});

	it("reads a text only when it is a spelling of its bytes", () => {
		const characters = fc.constantFrom(..."AQgwZz09+/-_= \n\r\t%\u00e9\ud83d");
		const texts = fc.string({ unit: characters, maxLength: 12 });
		fc.assert(
			fc.property(texts, (text) => {
				const bytes = fromBase64(text);
				if (bytes === null) return;
				const spellings = [toBase64(bytes), toBase64Url(bytes)];
				const unpadded = toBase64(bytes).replace(/=/g, "");
				const padded = toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_");
				expect([...spellings, unpadded, padded]).toContain(text);
			}),
			{ numRuns: 2_000 },
		);
	});

	it.each([
		["a length that no bytes have", "Zm9vY"],
		["unused bits that are not zero", "Zh=="],
		["unused bits that are not zero, unpadded", "Zm9"],
		["a space in front", " Zm9v"],
		["a space within", "Zm 9v"],
		["a line break behind", "Zm9v\n"],
		["a space for a pad", "Zg= "],
		["one pad where two belong", "Zg="],
		["three pads", "Z==="],
		["a pad within", "Zg==Zg=="],
		["pads alone", "===="],
		["a pad too many", "Zm9v===="],
		["both alphabets at once", "+-8="],
		["a character of neither alphabet", "Zm9%"],
		["a character beyond ASCII", "Zm9\u0142"],
	])("refuses %s", (_what, text) => {
		expect(fromBase64(text)).toBeNull();
	});

	it.each(["Zg==", "+w", "/w", "Zg\n", "Z"])("refuses %j as base64url of JOSE", (text) => {
		expect(fromBase64Url(text)).toBeNull();
	});

	it("carries a mebibyte both ways", () => {
		const bytes = new Uint8Array(1024 * 1024).map((_, i) => (i * 2654435761) >>> 13);
		expect(equalConstantTime(fromBase64(toBase64(bytes)) ?? new Uint8Array(), bytes)).toBe(true);
	});
});

describe("bytes", () => {
	it("are written as lower-case hexadecimal, two digits each", () => {
		expect(toHex(Uint8Array.of(0, 10, 171, 255))).toBe("000aabff");
	});

	it("are equal when every byte is, and only then", () => {
		fc.assert(
			fc.property(anyBytes, fc.nat(), (bytes, at) => {
				expect(equalConstantTime(bytes, bytes.slice())).toBe(true);
				expect(equalConstantTime(bytes, concat(bytes, Uint8Array.of(0)))).toBe(false);
				if (bytes.length === 0) return;
				const other = bytes.slice();
				other[at % bytes.length] = (other[at % bytes.length] ?? 0) ^ 1;
				expect(equalConstantTime(bytes, other)).toBe(false);
			}),
		);
	});

	it("are joined in their order", () => {
		expect(concat(Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3))).toEqual(
			Uint8Array.of(1, 2, 3),
		);
	});
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { isUuid, uuidBytes, uuidText, uuidv7 } from "../../src/lib/uuid.ts";

const zeros = (byteCount: number) => new Uint8Array(byteCount);
const ones = (byteCount: number) => new Uint8Array(byteCount).fill(0xff);

describe("uuidv7", () => {
	it("is the example of RFC 9562, appendix A.6", () => {
		const random = () =>
			Uint8Array.from([
				0, 0, 0, 0, 0, 0, 0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f,
			]);
		expect(uuidv7(() => 0x017f22e279b0, random)).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
	});

	it("has the version and the variant, whatever the randomness", () => {
		expect(uuidv7(() => 0, zeros)).toBe("00000000-0000-7000-8000-000000000000");
		expect(uuidv7(() => 2 ** 48 - 1, ones)).toBe("ffffffff-ffff-7fff-bfff-ffffffffffff");
	});

	it("sorts by its time, to the millisecond", () => {
		const time = fc.integer({ min: 0, max: 2 ** 48 - 1 });
		fc.assert(
			fc.property(time, time, (a, b) => {
				const [first, second] = [uuidv7(() => a, ones), uuidv7(() => b, zeros)];
				if (a !== b) expect(first < second).toBe(a < b);
			}),
		);
	});

	it("is not the same twice, and is an id", () => {
		const ids = Array.from({ length: 1_000 }, () => uuidv7(systemClock, systemRandom));
		expect(new Set(ids).size).toBe(1_000);
		for (const id of ids) expect(isUuid(id)).toBe(true);
	});
});

it("the bytes of a UUID are written as it, and the other way round", () => {
	const text = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
	const bytes = uuidBytes(text);
	expect([bytes.length, bytes[0], bytes[15]]).toEqual([16, 0x01, 0x8f]);
	expect(uuidText(bytes)).toBe(text);
});

it.each([
	"017f22e279b07cc398c4dc0c0c07398f",
	"017f22e2-79b0-7cc3-98c4-dc0c0c07398",
	"017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
	"017f22e2-79b0-7cc3-98c4-dc0c0c07398F",
	"017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
	"017f22e2-79b0-7cc3-98c4-dc0c0c0739\u0138f",
	"017f22e2-79b0-7cc3-98c4-dc0c-c07398f",
	"017f22e2079b0-7cc3-98c4-dc0c0c07398f",
	"017f22-e279-b07c-c398-c4dc0c0c07398f",
	"",
])("there are no bytes of %j", (text) => {
	expect(() => uuidBytes(text)).toThrow(RangeError);
});

it("every UUID comes back from its bytes", () => {
	fc.assert(
		fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
			expect(uuidBytes(uuidText(bytes))).toEqual(new Uint8Array(bytes));
		}),
	);
});

describe("isUuid", () => {
	it.each([
		["00000000-0000-0000-0000-000000000000", true],
		["01900000-0000-7000-8000-00000000000a", true],
		["01900000-0000-7000-8000-00000000000A", false],
		["01900000-0000-7000-8000-0000000000", false],
		["01900000-0000-7000-8000-00000000000ab", false],
		["01900000000070008000000000000000", false],
		["{01900000-0000-7000-8000-00000000000a}", false],
		["01900000-0000-7000-8000-00000000000a\n", false],
		["0190000g-0000-7000-8000-00000000000a", false],
		["", false],
	])("of %j is %s", (text, expected) => {
		expect(isUuid(text)).toBe(expected);
	});
});

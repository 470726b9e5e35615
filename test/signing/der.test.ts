import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/lib/bytes.ts";
import { readElements, readUnsigned, writeElement, writeUnsigned } from "../../src/signing/asn1.ts";
import { fromDer, toDer } from "../../src/signing/der.ts";
import { fromHex } from "./support.ts";

const coordinateBytes = fc.constantFrom(32, 48, 66);

describe("ECDSA-Sig-Value", () => {
	it("converts to r||s and back for every size of curve", () => {
		const signatures = coordinateBytes.chain((size) =>
			fc.tuple(fc.constant(size), fc.uint8Array({ minLength: 2 * size, maxLength: 2 * size })),
		);
		fc.assert(
			fc.property(signatures, ([size, bytes]) => {
				const rs = new Uint8Array(bytes);
				expect(fromDer(toDer(rs), size)).toEqual(rs);
			}),
		);
	});

	it("is read only in the one form that is written", () => {
		const rs = fromHex(`${"00".repeat(30)}80ff${"00".repeat(31)}7f`);
		const der = toDer(rs);
		fc.assert(
			fc.property(fc.nat(der.length - 1), fc.nat(255), (at, byte) => {
				const changed = der.slice();
				changed[at] = byte;
				const read = fromDer(changed, 32);
				if (read !== null) expect(toDer(read)).toEqual(changed);
			}),
			{ numRuns: 2_000 },
		);
	});

	it.each([
		["nothing", ""],
		["an empty sequence", "3000"],
		["one number", "3003020101"],
		["three numbers", "3009020101020101020101"],
		["bytes after the sequence", "300602010102010100"],
		["bytes after the numbers", "30080201010201010500"],
		["a sequence that ends early", "3006020101020201"],
		["a length in a longer form", "308106020101020101"],
		["an indefinite length", "30800201010201010000"],
		["a length of a length of three bytes", "3083000006020101020101"],
		["a negative number", "3006020181020101"],
		["a number with a zero too many", "300702020001020101"],
		["an empty number", "30050200020101"],
		["another type than INTEGER", "3006040101020101"],
		["another type than SEQUENCE", "3106020101020101"],
		["a number longer than the curve", `3026022101${"00".repeat(32)}020101`],
	])("is not %s", (_what, hex) => {
		expect(fromDer(fromHex(hex), 32)).toBeNull();
	});

	it("holds a zero, which no signature has but which is well formed", () => {
		expect(fromDer(fromHex("3006020100020100"), 32)).toEqual(new Uint8Array(64));
	});

	it("of P-521 has a length of two bytes", () => {
		expect(toHex(toDer(new Uint8Array(132).fill(0x7f)).subarray(0, 5))).toBe("3081880242");
	});
});

describe("DER", () => {
	it("reads back the elements that it wrote, of any length", () => {
		const bodies = fc.uint8Array({ maxLength: 700, size: "max" });
		fc.assert(
			fc.property(fc.constantFrom(0x02, 0x04, 0x30), bodies, (tag, bytes) => {
				const body = new Uint8Array(bytes);
				expect(readElements(writeElement(tag, body))).toEqual([{ tag, body }]);
			}),
		);
	});

	it("writes a number in its shortest form", () => {
		fc.assert(
			fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
				const written = readElements(writeUnsigned(new Uint8Array(bytes)))?.[0];
				const value = BigInt(`0x${toHex(bytes)}`);
				expect(BigInt(`0x${toHex(readUnsigned(written) ?? new Uint8Array())}`)).toBe(value);
			}),
		);
	});

	it("refuses what is longer than any key", () => {
		expect(() => writeElement(0x04, new Uint8Array(0x10000))).toThrow(RangeError);
	});

	it("does not know tags of more than one byte", () => {
		expect(readElements(fromHex("1f810100"))).toBeNull();
	});
});

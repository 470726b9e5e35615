import { expect, it } from "vitest";
import { toHex } from "../../src/lib/bytes.ts";
import { beginSha256, sha256 } from "../../src/lib/sha256.ts";

/** The last length that is short, and the first that the platform hashes, are among them; so are ends of blocks. */
const lengths = [
	0, 1, 31, 32, 55, 56, 63, 64, 65, 119, 120, 128, 256, 510, 511, 512, 513, 1_000, 70_000,
];
const bytesOf = (length: number) =>
	Uint8Array.from({ length }, (_, at) => (at * 31 + length) % 256);

it("is what WebCrypto says, of any length", async () => {
	for (const length of lengths) {
		const bytes = bytesOf(length);
		const expected = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
		expect(toHex(sha256(bytes)), `${length} bytes`).toBe(expected);
		const begun = beginSha256();
		begun.add(bytes);
		expect(toHex(begun.done())).toBe(expected);
	}
});

it("is of the parts behind each other, however they are cut", () => {
	for (const length of lengths) {
		const bytes = bytesOf(length);
		for (const cut of [0, 1, Math.floor(length / 2), length]) {
			const parts = [bytes.subarray(0, cut), bytes.subarray(cut), new Uint8Array(0)];
			expect(sha256(...parts)).toEqual(sha256(bytes));
		}
	}
	expect(sha256()).toEqual(sha256(new Uint8Array(0)));
});

it("is right after one that was broken off", () => {
	const part = Object.defineProperty({ length: 70 }, "0", {
		get() {
			throw new Error("broken off");
		},
	});
	const expected = toHex(sha256(bytesOf(40)));
	expect(() => sha256(bytesOf(64), part as Uint8Array)).toThrow("broken off");
	expect(toHex(sha256(bytesOf(40)))).toBe(expected);
});

it("answers bytes of its own, which may be kept and cut", () => {
	const first = sha256(bytesOf(32));
	const before = toHex(first);
	sha256(bytesOf(33));
	expect([toHex(first), first.buffer.byteLength, first.slice(0, 4).length]).toEqual([
		before,
		32,
		4,
	]);
});

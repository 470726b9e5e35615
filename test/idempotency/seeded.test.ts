import { describe, expect, it } from "vitest";
import { effectIdOf, seededRandom } from "../../src/idempotency/seeded.ts";
import { concat, toHex } from "../../src/lib/bytes.ts";
import { isUuid } from "../../src/lib/uuid.ts";

const seed = new Uint8Array(32).fill(7);
const other = new Uint8Array(32).fill(8);

describe("seeded randomness", () => {
	it("is one stream, in whatever pieces it is read", () => {
		const whole = toHex(seededRandom(seed)(200));
		const random = seededRandom(seed);
		const pieces = [1, 31, 32, 33, 0, 64, 39].map((count) => random(count));
		expect(pieces.map(({ length }) => length)).toEqual([1, 31, 32, 33, 0, 64, 39]);
		expect(toHex(concat(...pieces))).toBe(whole);
	});

	it("does not repeat itself, and is another one for another seed", () => {
		const random = seededRandom(seed);
		const blocks = Array.from({ length: 100 }, () => toHex(random(32)));
		expect(new Set(blocks).size).toBe(100);
		expect(toHex(seededRandom(other)(32))).not.toBe(blocks[0]);
	});

	it("hands out bytes that their reader may change", () => {
		const random = seededRandom(seed);
		random(16).fill(0);
		const fresh = seededRandom(seed);
		fresh(16);
		expect(toHex(random(16))).toBe(toHex(fresh(16)));
	});
});

describe("the id of an effect", () => {
	it("is a UUID, the same for the same seed", () => {
		expect(isUuid(effectIdOf(seed))).toBe(true);
		expect(effectIdOf(seed)).toMatch(/^.{14}8.{4}[89ab]/);
		expect(effectIdOf(seed)).toBe(effectIdOf(seed.slice()));
		expect(effectIdOf(other)).not.toBe(effectIdOf(seed));
	});

	it("tells nothing of the randomness", () => {
		const start = effectIdOf(seed).slice(0, 8);
		expect(toHex(seededRandom(seed)(4096))).not.toContain(start);
	});
});

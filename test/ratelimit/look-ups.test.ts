import { describe, expect, it } from "vitest";
import { limits } from "../../src/limits.ts";
import { LookUps } from "../../src/ratelimit/look-ups.ts";

const { addressUnknownTokenCost: high, addressLookUpCost: low, goodTokensRemembered } = limits;

function seen(lookUps: LookUps, hash: string, isGood: boolean | null): void {
	lookUps.begin(hash);
	lookUps.end(hash, isGood);
}

describe("what looking up a token costs an address", () => {
	it("is nothing when it was good the last time, until it is found not to be", () => {
		const lookUps = new LookUps();
		expect(lookUps.costOf("a")).toBe(high);
		seen(lookUps, "a", true);
		expect(lookUps.costOf("a")).toBe(0);
		expect(lookUps.costOf("b")).toBe(high);
		seen(lookUps, "a", false);
		expect(lookUps.costOf("a")).toBe(high);
	});

	it("stays what it was where nobody could tell", () => {
		const lookUps = new LookUps();
		seen(lookUps, "a", null);
		expect(lookUps.costOf("a")).toBe(high);
		seen(lookUps, "a", true);
		seen(lookUps, "a", null);
		expect(lookUps.costOf("a")).toBe(0);
	});

	it("is less while another has the same one looked up, and not longer", () => {
		const lookUps = new LookUps();
		lookUps.begin("a");
		lookUps.begin("a");
		expect([lookUps.costOf("a"), lookUps.costOf("b")]).toEqual([low, high]);
		lookUps.end("a", false);
		expect(lookUps.costOf("a")).toBe(low);
		lookUps.end("a", false);
		expect(lookUps.costOf("a")).toBe(high);
	});

	it("is remembered of a bounded number, and of those under way as long as they are", () => {
		const lookUps = new LookUps();
		const few = lookUps.bytes();
		for (let n = 0; n <= goodTokensRemembered; n++) seen(lookUps, `t${n}`, true);
		const full = lookUps.bytes();
		expect([lookUps.costOf("t0"), lookUps.costOf("t1")]).toEqual([high, 0]);
		for (let n = 0; n <= goodTokensRemembered; n++) seen(lookUps, `u${n}`, true);
		expect(lookUps.bytes()).toBe(full);
		expect(full).toBeGreaterThan(few);
		expect(full).toBeLessThan(limits.memoryAddressesBytes);
	});
});

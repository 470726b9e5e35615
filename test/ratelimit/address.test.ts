import { describe, expect, it } from "vitest";
import * as limits from "../../src/limits.ts";
import { addressOf, createAddressLimits } from "../../src/ratelimit/address.ts";

const willing: RateLimit = { limit: async () => ({ success: true }) };

function limitsAt(clock: { now: number }, platform: RateLimit = willing) {
	return createAddressLimits(platform, () => clock.now);
}

function from(address: string | null): string {
	const headers = new Headers();
	if (address !== null) headers.set("cf-connecting-ip", address);
	return addressOf(new Request("https://edgesign.test/", { headers }));
}

describe("the address of a caller", () => {
	it.each([
		["192.0.2.1", "192.0.2.1"],
		["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
		["2001:0DB8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2"],
		["2001:db8:1:2::", "2001:db8:1:2"],
		["2001:db8::1", "2001:db8:0:0"],
		["2001:db8::2:3:4:5:6", "2001:db8:0:2"],
		["::1", "0:0:0:0"],
		["::", "0:0:0:0"],
		["fe80::1:2:3:4", "fe80:0:0:0"],
		["::ffff:192.0.2.1", "192.0.2.1"],
		["64:ff9b::192.0.2.1", "192.0.2.1"],
	])("%s counts as %s", (address, expected) => {
		expect(from(address)).toBe(expected);
	});

	it("is one for all of whom the platform does not tell it", () => {
		expect(from(null)).toBe("unknown");
	});

	it("is another in the /64 beside it", () => {
		expect(from("2001:db8:1:2::1")).not.toBe(from("2001:db8:1:3::1"));
	});
});

describe("what an address may spend", () => {
	it("is its quota and no more, and comes back with time", () => {
		const clock = { now: 0 };
		const addresses = limitsAt(clock);
		const all = addresses.spend("a", limits.addressQuota);
		expect(all).toMatchObject({ spent: true, limit: { name: "address", remaining: 0 } });
		const { spent, retryMs } = addresses.spend("a", 10);
		expect(spent).toBe(false);
		clock.now += retryMs - 1;
		expect(addresses.spend("a", 10).spent).toBe(false);
		clock.now += 1;
		expect(addresses.spend("a", 10).spent).toBe(true);
	});

	it("is not touched by a refusal, nor by what others spend", () => {
		const addresses = limitsAt({ now: 0 });
		addresses.spend("a", limits.addressQuota - 5);
		expect(addresses.spend("a", 6).spent).toBe(false);
		expect(addresses.spend("b", limits.addressQuota).spent).toBe(true);
		expect(addresses.spend("a", 5).spent).toBe(true);
	});

	it("is told as the RateLimit headers want it", () => {
		const { limit } = limitsAt({ now: 0 }).spend("a", limits.addressQuota / 2);
		expect(limit).toEqual({
			name: "address",
			quota: limits.addressQuota,
			windowSeconds: limits.addressWindowMs / 1000,
			remaining: limits.addressQuota / 2,
			resetMs: limits.addressWindowMs / 2,
		});
	});

	it("is remembered of so many and no more: who was not seen for the longest is forgotten", () => {
		const addresses = limitsAt({ now: 0 });
		const isEmpty = (address: string) => !addresses.spend(address, 1).spent;
		for (let i = 0; i < limits.addressesRemembered; i++) {
			addresses.spend(`a${i}`, limits.addressQuota);
		}
		expect(isEmpty("a0")).toBe(true); // and it was seen again
		addresses.spend("newcomer", limits.addressQuota);
		expect(isEmpty("a1")).toBe(false);
		for (const remembered of ["a0", "a3", `a${limits.addressesRemembered - 1}`, "newcomer"]) {
			expect(isEmpty(remembered), remembered).toBe(true);
		}
	});
});

describe("the platform's limiter", () => {
	it.each([true, false])("is believed when it says %s of this address", async (success) => {
		const asked: unknown[] = [];
		const platform: RateLimit = {
			async limit(options) {
				asked.push(options);
				return { success };
			},
		};
		expect(await limitsAt({ now: 0 }, platform).confirm("192.0.2.1")).toBe(success ? "yes" : "no");
		expect(asked).toEqual([{ key: "192.0.2.1" }]);
	});

	it.each<[string, RateLimit["limit"]]>([
		["rejects", () => Promise.reject(new Error("no limiter"))],
		[
			"throws",
			() => {
				throw new Error("no limiter");
			},
		],
		["never answers", () => new Promise(() => {})],
	])("says neither yes nor no when it %s", async (_, limit) => {
		expect(await limitsAt({ now: 0 }, { limit }).confirm("192.0.2.1")).toBe("unknown");
	});
});

describe("a token that was good", () => {
	it("is remembered until it is found not to be, and so many of them at the most", () => {
		const addresses = limitsAt({ now: 0 });
		const before = addresses.bytes();
		addresses.noteGood("a", true);
		expect([addresses.wasGood("a"), addresses.wasGood("b")]).toEqual([true, false]);
		addresses.noteGood("a", false);
		expect(addresses.wasGood("a")).toBe(false);
		for (let n = 0; n <= limits.goodTokensRemembered; n++) addresses.noteGood(`t${n}`, true);
		expect([addresses.wasGood("t0"), addresses.wasGood("t1")]).toEqual([false, true]);
		const full = addresses.bytes();
		addresses.noteGood("more", true);
		expect(addresses.bytes()).toBe(full);
		expect(full).toBeGreaterThan(before);
		const buckets = 200 * limits.addressesRemembered;
		expect(full + buckets).toBeLessThan(limits.memoryAddressesBytes);
	});
});

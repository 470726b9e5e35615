import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hashOf } from "../../src/cache/hash.ts";
import { type MemoryBounds, type MemorySurroundings, memoryStore } from "../../src/cache/memory.ts";
import * as limits from "../../src/limits.ts";

const seed = () => new Uint8Array([1, 2, 3, 4]);

/** A store whose clock is set by hand. */
function storeOf(bounds: Partial<MemoryBounds> = {}, around: Partial<MemorySurroundings> = {}) {
	const time = { now: 1_000 };
	const usual = { entries: 1_000, bytes: 1_000_000, ttlMs: 100, renewMs: 100, jitterPart: 0 };
	const clock = () => time.now;
	const surroundings = { clock, random: seed, ...around };
	return { time, store: memoryStore<string>({ ...usual, ...bounds }, surroundings) };
}

/** What an entry costs: its value, its name and 350 bytes; and the first one of a tenant, that tenant's map. */
const costOf = (name: string, bytes: number) => bytes + 350 + name.length;
const tenantCost = (tenant: string) => 250 + tenant.length;

describe("the memory store", () => {
	it("gives back what was set under the same tenant and name, and nothing else", () => {
		const { store } = storeOf();
		store.set("a", "key", "value", 10, store.now());
		expect(store.get("a", "key")).toBe("value");
		expect(store.get("b", "key")).toBeUndefined();
		expect(store.get("a", "Key")).toBeUndefined();
		expect(store.get("a", "constructor")).toBeUndefined();
	});

	it("keeps tenants apart whose names and keys join to the same text", () => {
		const { store } = storeOf();
		store.set("a", "b c", "first", 1, store.now());
		store.set("a-b", "c", "second", 1, store.now());
		expect(store.get("a", "b c")).toBe("first");
		expect(store.get("a-b", "c")).toBe("second");
		expect(store.get("a", "c")).toBeUndefined();
	});

	it("has the value that was set last", () => {
		const { store } = storeOf();
		store.set("a", "key", "old", 10, store.now());
		store.set("a", "key", "new", 10, store.now());
		expect(store.get("a", "key")).toBe("new");
	});

	it("forgets an entry at the very end of its time", () => {
		const { store, time } = storeOf({ ttlMs: 100 });
		store.set("a", "key", "value", 10, store.now());
		time.now += 99;
		expect(store.get("a", "key")).toBe("value");
		time.now += 1;
		expect(store.get("a", "key")).toBeUndefined();
	});

	describe("where values are kept while their origin is away", () => {
		const bounds = { ttlMs: 100, renewMs: 75, keptMs: limits.cacheGraceMs * 3 };

		function kept(more: Partial<MemoryBounds> = {}) {
			const origin = { isAway: false, wasAwayOfLate: false };
			const { store, time } = storeOf({ ...bounds, ...more }, { origin });
			store.set("a", "key", "value", 10, store.now());
			const away = (isAway: boolean) => {
				origin.isAway = isAway;
				origin.wasAwayOfLate = true;
			};
			return { store, time, away };
		}

		it("expires as others do where the origin is well, and holds what has expired for a while", () => {
			const { store, time } = kept();
			time.now += 100;
			expect(store.get("a", "key")).toBeUndefined();
			expect(store.kept("a", "key")).toBe("value");
			time.now += limits.cacheGraceMs;
			expect(store.get("a", "key")).toBeUndefined(); // and is there still, until it was read anew
			expect(store.kept("a", "key")).toBe("value");
			store.set("b", "other", "value", 10, store.now());
			expect(store.kept("a", "key")).toBeUndefined();
			expect(store.counts()).toMatchObject({ entries: 1, expirations: 1 });
		});

		it("lets all read on while the origin is away, to the end of the time", () => {
			const { store, time, away } = kept();
			time.now += 80;
			away(true);
			expect([1, 2].map(() => store.get("a", "key"))).toEqual(["value", "value"]);
			time.now += 20 + bounds.keptMs - 1;
			expect(store.get("a", "key")).toBe("value");
			time.now++;
			expect(store.get("a", "key")).toBeUndefined();
			expect(store.kept("a", "key")).toBeUndefined();
		});

		it("keeps for the next outage what it kept for one", () => {
			const { store, time, away } = kept();
			away(true);
			time.now += 2 * limits.cacheGraceMs;
			away(false);
			expect(store.get("a", "key")).toBeUndefined();
			store.set("b", "other", "value", 10, store.now());
			away(true);
			expect(store.get("a", "key")).toBe("value");
		});

		it("keeps nothing of a tenant of whom something was changed, nor what is no more", () => {
			const { store, away } = kept();
			away(true);
			store.dropTenant("a");
			expect([store.get("a", "key"), store.kept("a", "key")]).toEqual([undefined, undefined]);
			store.set("a", "key", "value", 10, store.now());
			store.forget("a", "key");
			expect([store.get("a", "key"), store.kept("a", "key")]).toEqual([undefined, undefined]);
		});

		it("gives back no more than is asked for, and never the last few", () => {
			const { store, time, away } = kept({ bytes: 16 * 2 * costOf("key", 10) });
			for (const name of ["2nd", "3rd"]) store.set("a", name, "value", 10, store.now());
			time.now += 100;
			away(true);
			store.release(1);
			const names = ["key", "2nd", "3rd"];
			expect(names.map((name) => store.get("a", name))).toEqual([undefined, "value", "value"]);
			store.release(1_000_000);
			expect(names.filter((name) => store.get("a", name) === "value").length).toBeGreaterThan(0);
		});
	});

	it("sends one reader to renew an aged entry, while the others go on reading", () => {
		const { store, time } = storeOf({ ttlMs: 100, renewMs: 75 });
		store.set("a", "key", "old", 10, store.now());
		time.now += 74;
		expect(store.get("a", "key")).toBe("old");
		time.now += 1;
		expect(store.get("a", "key")).toBeUndefined();
		expect(store.get("a", "key")).toBe("old");
		store.set("a", "key", "new", 10, store.now());
		time.now += 74;
		expect(store.get("a", "key")).toBe("new");
		time.now += 1;
		expect(store.get("a", "key")).toBeUndefined();
		time.now += 25;
		expect(store.get("a", "key")).toBeUndefined();
		expect(store.get("a", "key")).toBeUndefined();
	});

	it("does not live longer because it is read, and lives anew when it is set", () => {
		const { store, time } = storeOf({ ttlMs: 100 });
		store.set("a", "key", "old", 10, store.now());
		time.now += 60;
		expect(store.get("a", "key")).toBe("old");
		time.now += 60;
		expect(store.get("a", "key")).toBeUndefined();
		store.set("a", "key", "new", 10, store.now());
		time.now += 99;
		expect(store.get("a", "key")).toBe("new");
	});

	it("forgets everything of a tenant, and nothing of others", () => {
		const { store } = storeOf();
		for (const tenant of ["a", "a-b", "b"]) {
			store.set(tenant, "one", tenant, 10, store.now());
			store.set(tenant, "two", tenant, 10, store.now());
		}
		store.dropTenant("a");
		expect([store.get("a", "one"), store.get("a", "two")]).toEqual([undefined, undefined]);
		expect([store.get("a-b", "one"), store.get("b", "two")]).toEqual(["a-b", "b"]);
	});
});

describe("times to live", () => {
	const names = Array.from({ length: 200 }, (_, index) => `key ${index}`);

	it("are cut by different parts, and none is longer than it says", () => {
		const { store, time } = storeOf({ ttlMs: 1_000, renewMs: 1_000, jitterPart: 0.1 });
		for (const name of names) store.set("a", name, name, 10, store.now());
		const left = () => names.filter((name) => store.get("a", name) !== undefined).length;
		time.now += 900;
		expect(left()).toBe(200);
		time.now += 50;
		expect(left()).toBeGreaterThan(50);
		expect(left()).toBeLessThan(150);
		time.now += 50;
		expect(left()).toBe(0);
	});

	it("end for what nobody asks for any more, a few entries with each call", () => {
		const { store, time } = storeOf();
		for (const name of names) store.set("a", name, name, 10, store.now());
		time.now += 100;
		for (let call = 1; call <= 10; call++) {
			store.set("b", "one", "again", 10, store.now());
			const { entries, expirations } = store.counts();
			expect(expirations).toBe(call * limits.cacheSweepPerCall);
			expect(entries).toBe(201 - call * limits.cacheSweepPerCall);
		}
	});
});

describe("a name that nobody has", () => {
	it("is known as such for its own time, and then asked for again", () => {
		const { store, time } = storeOf({ ttlMs: 60_000, renewMs: 60_000 });
		store.setMissing("a", "key", store.now());
		expect(store.get("a", "key")).toBeNull();
		expect(store.get("b", "key")).toBeUndefined();
		time.now += limits.cacheNegativeMs;
		expect(store.get("a", "key")).toBeUndefined();
	});

	it("takes the place of its value, and a value takes its place", () => {
		const { store } = storeOf();
		store.set("a", "key", "value", 10, store.now());
		store.setMissing("a", "key", store.now());
		expect(store.get("a", "key")).toBeNull();
		store.set("a", "key", "new", 10, store.now());
		expect(store.get("a", "key")).toBe("new");
		expect(store.counts().entries).toBe(1);
	});

	it("is forgotten with its tenant, and not learned from before that", () => {
		const { store } = storeOf();
		const before = store.now();
		store.setMissing("a", "key", store.now());
		store.dropTenant("a");
		expect(store.get("a", "key")).toBeUndefined();
		store.setMissing("a", "key", before);
		expect(store.get("a", "key")).toBeUndefined();
	});

	it("pushes out no value, however many there are", () => {
		const { store } = storeOf({ bytes: 10_000 });
		for (const name of ["1", "2", "3"]) store.set("a", name, name, 2_000, store.now());
		for (let i = 0; i < 20_000; i++) store.setMissing("a", `unknown ${i}`, store.now());
		expect(["1", "2", "3"].map((name) => store.get("a", name))).toEqual(["1", "2", "3"]);
		expect(store.counts().bytes).toBeLessThanOrEqual(10_000 + limits.cacheNegativeBytes);
		expect(store.counts().entries).toBeLessThanOrEqual(3 + limits.cacheNegativeEntries);
	});
});

describe("a value that was read before its tenant was dropped", () => {
	it("is not kept, and one that was read after it is", () => {
		const { store } = storeOf();
		const before = store.now();
		store.dropTenant("a");
		store.set("a", "key", "old", 10, before);
		store.set("b", "key", "of another", 10, before);
		expect(store.get("a", "key")).toBeUndefined();
		expect(store.get("b", "key")).toBe("of another");
		store.set("a", "key", "new", 10, store.now());
		expect(store.get("a", "key")).toBe("new");
	});

	it("is not kept when so many were dropped since that they are not remembered one by one", () => {
		const { store } = storeOf();
		const before = store.now();
		for (let i = 0; i <= limits.cacheDropsRemembered; i++) store.dropTenant(`t${i}`);
		store.set("t0", "key", "old", 10, before);
		expect(store.get("t0", "key")).toBeUndefined();
	});
});

describe("room", () => {
	it("is made by letting go of what nobody read", () => {
		const { store } = storeOf({ entries: 3 });
		for (const name of ["one", "two", "three"]) store.set("a", name, name, 1, store.now());
		for (let i = 0; i < 2; i++) store.get("a", "one");
		store.set("a", "four", "four", 1, store.now());
		const left = ["one", "two", "three", "four"].map((name) => store.get("a", name));
		expect(left).toEqual(["one", undefined, "three", "four"]);
		expect(store.counts().evictions).toBe(1);
	});

	it("is not needed twice for an entry that is set again", () => {
		const { store } = storeOf({ entries: 2 });
		store.set("a", "one", "1", 1, store.now());
		store.set("a", "two", "2", 1, store.now());
		store.set("a", "one", "1 again", 1, store.now());
		expect(store.get("a", "one")).toBe("1 again");
		expect(store.get("a", "two")).toBe("2");
	});

	it("is used to the last byte", () => {
		const bytes = 3 * costOf("1", 50) + tenantCost("a");
		const { store } = storeOf({ bytes });
		for (const name of ["1", "2", "3"]) store.set("a", name, name, 50, store.now());
		expect(["1", "2", "3"].map((name) => store.get("a", name))).toEqual(["1", "2", "3"]);
		expect(store.counts().bytes).toBe(bytes);
		store.set("a", "4", "4", 50, store.now());
		expect(store.get("a", "4")).toBe("4");
		expect(store.counts()).toMatchObject({ entries: 3, bytes, evictions: 1 });
	});

	it("is given back by what is forgotten, expires or is replaced", () => {
		const each = costOf("1", 50);
		const { store, time } = storeOf({ bytes: 2 * each + tenantCost("a") + tenantCost("b") });
		for (let round = 0; round < 50; round++) {
			store.set("a", "1", "x", 50, store.now());
			store.set("a", "1", "y", 50, store.now());
			store.set("b", "1", "z", 50, store.now());
			expect([store.get("a", "1"), store.get("b", "1")]).toEqual(["y", "z"]);
			store.dropTenant("b");
			time.now += 100;
			expect(store.get("a", "1")).toBeUndefined();
			expect(store.counts()).toMatchObject({ entries: 0, bytes: 0, evictions: 0 });
		}
	});

	it("is not made for an entry that alone is over it", () => {
		const { store } = storeOf({ bytes: 1_000 });
		store.set("a", "small", "kept", 10, store.now());
		store.set("a", "huge", "too large", 10_000, store.now());
		store.set("a", "just too large", "too large", 1_000 - 350 - 14 - 250, store.now());
		expect(store.get("a", "huge")).toBeUndefined();
		expect(store.get("a", "just too large")).toBeUndefined();
		expect(store.get("a", "small")).toBe("kept");
	});

	it("is given back when it is asked for, what has expired before anything else", () => {
		const { store, time } = storeOf({ bytes: 8_000 });
		store.set("a", "old", "old", 400, store.now());
		time.now += 50;
		store.set("a", "new", "new", 400, store.now());
		time.now += 50;
		store.release(500);
		expect(store.get("a", "new")).toBe("new");
		expect(store.counts()).toMatchObject({ entries: 1, expirations: 1, evictions: 0 });
		store.release(1);
		expect(store.counts()).toMatchObject({ entries: 0, bytes: 0, evictions: 1 });
		store.release(1);
	});

	it("is not filled when memory is short, and what is there is still renewed", () => {
		let isShort = false;
		const { store } = storeOf({}, { mayFill: () => !isShort });
		store.set("a", "there", "old", 10, store.now());
		isShort = true;
		store.set("a", "there", "new", 10, store.now());
		store.set("a", "more", "more", 10, store.now());
		store.setMissing("a", "missing", store.now());
		expect(store.get("a", "there")).toBe("new");
		expect([store.get("a", "more"), store.get("a", "missing")]).toEqual([undefined, undefined]);
	});
});

describe("what is counted", () => {
	it("is each read once: a hit, a miss, or a hit of what nobody has", () => {
		const { store, time } = storeOf({ ttlMs: 100, renewMs: 75 });
		store.get("a", "key");
		store.set("a", "key", "value", 10, store.now());
		store.setMissing("a", "nobody's", store.now());
		for (let i = 0; i < 3; i++) store.get("a", "key");
		store.get("a", "nobody's");
		time.now += 75;
		store.get("a", "key"); // one is sent to renew it
		store.get("a", "key");
		time.now += 25;
		store.get("a", "key");
		store.dropTenant("a");
		expect(store.counts()).toEqual({
			hits: 4,
			negativeHits: 1,
			misses: 3,
			renewals: 1,
			evictions: 0,
			expirations: 1,
			drops: 1,
			entries: 0,
			bytes: 0,
		});
	});

	it("is told of to who watches: a name's hash and its bytes, when it is read here or anew", () => {
		const seen: number[][] = [];
		const { store } = storeOf({}, { watch: (hash, bytes) => seen.push([hash, bytes]) });
		store.get("a", "key");
		store.set("a", "key", "value", 10, store.now());
		store.get("a", "key");
		store.setMissing("a", "nobody's", store.now());
		store.get("a", "nobody's");
		const expected = [hashOf("a", "key"), costOf("key", 10)];
		expect(seen).toEqual([expected, expected]);
	});
});

describe("any history of a store", () => {
	const tenant = fc.constantFrom("a", "b");
	const name = fc.constantFrom("1", "2", "3", "4", "5");
	const step = fc.oneof(
		{ weight: 4, arbitrary: fc.record({ kind: fc.constant("get" as const), tenant, name }) },
		{
			weight: 4,
			arbitrary: fc.record({
				kind: fc.constant("set" as const),
				tenant,
				name,
				bytes: fc.integer({ min: 0, max: 700 }),
				/** How many steps ago the value was read: drops may have come since. */
				ago: fc.integer({ min: 0, max: 4 }),
			}),
		},
		fc.record({
			kind: fc.constant("missing" as const),
			tenant,
			name,
			ago: fc.integer({ min: 0, max: 4 }),
		}),
		fc.record({ kind: fc.constant("drop" as const), tenant }),
		fc.record({ kind: fc.constant("release" as const), bytes: fc.integer({ min: 1, max: 900 }) }),
		fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 60 }) }),
	);
	const bounds = { entries: 4, bytes: 2_000, ttlMs: 100, renewMs: 80, jitterPart: 0.2 };

	it("is inside its bounds, and never answers what is old, dropped or not there", () => {
		fc.assert(
			fc.property(fc.array(step, { maxLength: 80 }), (history) => {
				const { store, time } = storeOf(bounds);
				type Known = { value: string | null; until: number };
				const model = new Map<string, Known>();
				const moments = [{ ...store.now(), step: 0 }];
				const droppedAt = new Map<string, number>();
				for (const [i, did] of history.entries()) {
					if (did.kind === "wait") time.now += did.ms;
					else if (did.kind === "release") store.release(did.bytes);
					else if (did.kind === "drop") {
						store.dropTenant(did.tenant);
						droppedAt.set(did.tenant, i);
						for (const full of model.keys()) if (full.startsWith(did.tenant)) model.delete(full);
					} else if (did.kind === "get") {
						const known = model.get(`${did.tenant} ${did.name}`);
						const got = store.get(did.tenant, did.name);
						// It may forget at any time; what it answers must be the last value, in its time.
						if (got !== undefined) expect(got).toBe(known?.value);
						if (got !== undefined) expect(known?.until).toBeGreaterThan(time.now);
					} else {
						const since = moments.at(-1 - did.ago) ?? moments[0];
						if (!since) throw new Error("there is a first moment");
						const value = did.kind === "set" ? `${i}` : null;
						if (did.kind === "set") store.set(did.tenant, did.name, `${i}`, did.bytes, since);
						else store.setMissing(did.tenant, did.name, since);
						const until = since.at + (did.kind === "set" ? 100 : limits.cacheNegativeMs);
						const isStale = (droppedAt.get(did.tenant) ?? -1) >= since.step;
						if (!isStale) model.set(`${did.tenant} ${did.name}`, { value, until });
					}
					moments.push({ ...store.now(), step: i + 1 });
					const { bytes } = store.counts();
					expect(bytes).toBeGreaterThanOrEqual(0);
					expect(bytes).toBeLessThanOrEqual(bounds.bytes + limits.cacheNegativeBytes);
				}
			}),
			{ numRuns: 300, seed: 6 },
		);
	});

	it("accounts for each byte that it holds", () => {
		fc.assert(
			fc.property(fc.array(step, { maxLength: 80 }), (history) => {
				const { store } = storeOf({ ...bounds, ttlMs: 1e9, renewMs: 1e9 });
				const sizes = new Map<string, number>();
				for (const [i, did] of history.entries()) {
					if (did.kind === "drop") store.dropTenant(did.tenant);
					if (did.kind !== "set") continue;
					store.set(did.tenant, did.name, `${i}`, did.bytes, store.now());
					sizes.set(`${did.tenant} ${did.name}`, costOf(did.name, did.bytes));
				}
				const held = [...sizes].filter(([full]) => {
					const [of = "", called = ""] = full.split(" ");
					return store.get(of, called) !== undefined;
				});
				const tenants = new Set(held.map(([full]) => full.slice(0, 1)));
				const bytes = held.reduce((sum, [, cost]) => sum + cost, 0);
				expect(store.counts().bytes).toBe(bytes + tenants.size * tenantCost("a"));
				expect(store.counts().bytes).toBeLessThanOrEqual(bounds.bytes);
				expect(store.counts().entries).toBe(held.length);
				expect(held.length).toBeLessThanOrEqual(bounds.entries);
			}),
			{ numRuns: 300, seed: 6 },
		);
	});
});

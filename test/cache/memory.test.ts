import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type MemoryBounds, memoryStore } from "../../src/cache/memory.ts";

/** A store whose clock is set by hand. */
function storeOf(bounds: Partial<MemoryBounds> = {}) {
	const time = { now: 1_000 };
	const all = { entries: 1_000, bytes: 1_000_000, ttlMs: 100, renewMs: 100, ...bounds };
	return { time, store: memoryStore<string>(all, () => time.now) };
}

/** What an entry costs beside its value: 200 bytes, and two for each character of tenant, space and name. */
const costOf = (tenant: string, name: string, bytes: number) =>
	bytes + 200 + 2 * (tenant.length + 1 + name.length);

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

describe("the bound of entries", () => {
	it("lets the entry go that was used least recently", () => {
		const { store } = storeOf({ entries: 3 });
		for (const name of ["one", "two", "three"]) store.set("a", name, name, 1, store.now());
		store.get("a", "one");
		store.set("a", "four", "four", 1, store.now());
		const left = ["one", "two", "three", "four"].map((name) => store.get("a", name));
		expect(left).toEqual(["one", undefined, "three", "four"]);
	});

	it("counts an entry that is set again once, as the newest", () => {
		const { store } = storeOf({ entries: 2 });
		store.set("a", "one", "1", 1, store.now());
		store.set("a", "two", "2", 1, store.now());
		store.set("a", "one", "1 again", 1, store.now());
		store.set("a", "three", "3", 1, store.now());
		const left = ["one", "two", "three"].map((name) => store.get("a", name));
		expect(left).toEqual(["1 again", undefined, "3"]);
	});
});

describe("the bound of bytes", () => {
	it("holds as many as fit to the last byte", () => {
		const each = costOf("a", "1", 50);
		const { store } = storeOf({ bytes: 3 * each });
		for (const name of ["1", "2", "3"]) store.set("a", name, name, 50, store.now());
		expect(["1", "2", "3"].map((name) => store.get("a", name))).toEqual(["1", "2", "3"]);
		store.set("a", "4", "4", 50, store.now());
		expect(["1", "2", "3", "4"].map((name) => store.get("a", name))).toEqual([
			undefined,
			"2",
			"3",
			"4",
		]);
	});

	it("gives back what a forgotten, expired or replaced entry held", () => {
		const each = costOf("a", "1", 50);
		const { store, time } = storeOf({ bytes: 2 * each });
		for (let round = 0; round < 50; round++) {
			store.set("a", "1", "x", 50, store.now());
			store.set("a", "1", "y", 50, store.now());
			store.set("b", "1", "z", 50, store.now());
			expect([store.get("a", "1"), store.get("b", "1")]).toEqual(["y", "z"]);
			store.dropTenant("b");
			time.now += 100;
			expect(store.get("a", "1")).toBeUndefined();
		}
		store.set("a", "1", "x", 50, store.now());
		store.set("a", "2", "y", 50, store.now());
		expect([store.get("a", "1"), store.get("a", "2")]).toEqual(["x", "y"]);
	});

	it("does not keep an entry that alone is over it, and keeps the others", () => {
		const { store } = storeOf({ bytes: 1_000 });
		store.set("a", "small", "kept", 10, store.now());
		store.set("a", "huge", "too large", 10_000, store.now());
		expect(store.get("a", "huge")).toBeUndefined();
		expect(store.get("a", "small")).toBe("kept");
	});
});

describe("any history of a store", () => {
	const tenant = fc.constantFrom("a", "b");
	const name = fc.constantFrom("1", "2", "3", "4", "5");
	const step = fc.oneof(
		fc.record({ kind: fc.constant("get" as const), tenant, name }),
		fc.record({
			kind: fc.constant("set" as const),
			tenant,
			name,
			bytes: fc.integer({ min: 0, max: 400 }),
		}),
		fc.record({ kind: fc.constant("drop" as const), tenant }),
		fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 60 }) }),
	);

	it("stays inside both bounds and never answers what is old or not there", () => {
		const bounds = { entries: 4, bytes: 1_500, ttlMs: 100, renewMs: 100 };
		fc.assert(
			fc.property(fc.array(step, { maxLength: 80 }), (history) => {
				const { store, time } = storeOf(bounds);
				const model = new Map<string, { value: string; bytes: number; until: number }>();
				for (const [i, did] of history.entries()) {
					if (did.kind === "wait") time.now += did.ms;
					else if (did.kind === "drop") {
						store.dropTenant(did.tenant);
						for (const full of model.keys()) if (full.startsWith(did.tenant)) model.delete(full);
					} else if (did.kind === "set") {
						const cost = costOf(did.tenant, did.name, did.bytes);
						store.set(did.tenant, did.name, `${i}`, did.bytes, store.now());
						model.set(`${did.tenant} ${did.name}`, {
							value: `${i}`,
							bytes: cost,
							until: time.now + 100,
						});
					} else {
						const known = model.get(`${did.tenant} ${did.name}`);
						const got = store.get(did.tenant, did.name);
						// It may forget at any time; what it answers must be the last value, in its time.
						if (got !== undefined) expect(got).toBe(known?.value);
						if (got !== undefined) expect(known?.until).toBeGreaterThan(time.now);
					}
				}
				const held = [...model].filter(([full]) => {
					const [of = "", called = ""] = full.split(" ");
					return store.get(of, called) !== undefined;
				});
				expect(held.length).toBeLessThanOrEqual(bounds.entries);
				const bytes = held.reduce((sum, [, { bytes: cost }]) => sum + cost, 0);
				expect(bytes).toBeLessThanOrEqual(bounds.bytes);
			}),
			{ numRuns: 300 },
		);
	});
});

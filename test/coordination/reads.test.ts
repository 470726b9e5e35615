import { beforeEach, describe, expect, it } from "vitest";
import type { SharedStore } from "../../src/cache/shared.ts";
import { createReads, type ReadServices } from "../../src/coordination/reads.ts";
import { type Database, DatabaseUnavailable } from "../../src/db/client.ts";
import type { KeyWithVersions } from "../../src/db/keys.ts";
import type { Found, LoadAnswer, Wanted, Warmed } from "../../src/db/together.ts";
import * as limits from "../../src/limits.ts";
import { inBackground } from "../support/background.ts";

const token = { kind: "token", name: "ab" } as const;
const key = { kind: "key", name: "payments" } as const;
const other = { kind: "token", name: "cd" } as const;
const row = (id: string) => ({ id }) as unknown as Extract<LoadAnswer, object>["row"];

/** Each part notes what it is asked for, in the order of asking. */
function newReads(parts: {
	readonly shared?: readonly (string | null)[];
	/** What the shared store has for an outage; and whether it is known of one, where Postgres does not answer. */
	readonly kept?: readonly (string | null)[];
	readonly isAway?: boolean;
	readonly load?: readonly LoadAnswer[] | Error | ReadServices["load"];
	readonly epoch?: number | null;
}) {
	const asked: string[] = [];
	const namesOf = (wanted: readonly Pick<Wanted, "name">[]) =>
		wanted.map(({ name }) => name).join();
	const shared: SharedStore = {
		read: async (_, epoch, entries) => {
			asked.push(`shared ${epoch} ${namesOf(entries as Wanted[])}`);
			return entries.map((_, index) => parts.shared?.[index] ?? null);
		},
		kept: async (_, epoch, entries) => {
			asked.push(`kept ${epoch} ${namesOf(entries as Wanted[])}`);
			return entries.map((_, index) => parts.kept?.[index] ?? null);
		},
		write: async () => {},
		drop: async () => {},
	};
	const origin = {
		isAway: parts.isAway ?? false,
		failed() {
			asked.push("away");
			origin.isAway = true;
		},
	};
	const db = {
		query: async () => {
			asked.push("postgres");
			if (parts.isAway !== undefined) throw new DatabaseUnavailable("test");
			return [{ id: "postgres" }];
		},
		transaction: async (calls: readonly unknown[]) => {
			asked.push("postgres");
			return calls.map(() => [{ id: "postgres" }]);
		},
	} as unknown as Database;
	const told: (readonly (readonly [string, number])[])[] = [];
	const load: ReadServices["load"] = async (tenant, ask) => {
		const { epoch, wanted, used, isFirst } = ask;
		asked.push(`object ${epoch} ${namesOf(wanted)}${isFirst ? " first" : ""}`);
		told.push(used);
		if (parts.load instanceof Error) throw parts.load;
		if (typeof parts.load === "function") return parts.load(tenant, ask);
		const answers =
			parts.load ?? wanted.map(({ name }) => ({ row: row(`object's ${name}`) as Found }));
		const warmed = isFirst ? [{ name: "hot", row: row("hot") as KeyWithVersions }] : [];
		return { answers, warmed };
	};
	const remembered: string[] = [];
	const rememberer = () => (warmed: readonly Warmed[]) =>
		void remembered.push(...warmed.map(({ name }) => name));
	const time = { epoch: parts.epoch === undefined ? 7 : parts.epoch, now: 0 };
	const epochNow = () => time.epoch;
	const services = { db, shared, origin, clock: () => time.now, epochNow, load, rememberer };
	const made = createReads(services);
	/** The rows alone. */
	const rowsOf = async (...wanted: Parameters<typeof made.read>) =>
		(await made.read(...wanted)).rows;
	return { reads: { ...made, read: rowsOf }, whole: made, asked, told, remembered, time };
}

/** One that has read something under the epoch already. */
async function newSettledReads(parts: Parameters<typeof newReads>[0]) {
	const made = newReads(parts);
	await made.reads.read("acme", [other]).catch(() => {});
	made.asked.length = 0;
	made.told.length = 0;
	return made;
}

describe("a reading", () => {
	it("ends at the shared store where that has all", async () => {
		const { reads, asked } = await newSettledReads({ shared: ['{"id":"a"}', '{"id":"b"}'] });
		expect(await reads.read("acme", [token, key])).toEqual([{ id: "a" }, { id: "b" }]);
		expect(asked).toEqual(["shared 7 ab,payments"]);
	});

	it("asks the object for what the shared store has not, and for nothing else", async () => {
		const { reads, asked } = await newSettledReads({ shared: [null, '{"id":"b"}'] });
		expect(await reads.read("acme", [token, key])).toEqual([{ id: "object's ab" }, { id: "b" }]);
		expect(asked).toEqual(["shared 7 ab,payments", "object 7 ab"]);
	});

	it("takes the object's word for what is not there", async () => {
		const { reads, asked } = await newSettledReads({ load: ["missing", { row: row("k") }] });
		expect(await reads.read("acme", [token, key])).toEqual([null, { id: "k" }]);
		expect(asked).not.toContain("postgres");
	});

	it("asks Postgres itself where the object does not answer", async () => {
		const { reads, asked } = await newSettledReads({ load: new Error("overloaded") });
		expect(await reads.read("acme", [token])).toEqual([{ id: "postgres" }]);
		expect(asked).toEqual(["shared 7 ab", "object 7 ab", "postgres"]);
	});

	it("fails, and asks nobody else, where Postgres does not answer the object", async () => {
		const { reads, asked } = await newSettledReads({ load: ["unavailable", "unavailable"] });
		await expect(reads.read("acme", [token, key])).rejects.toThrow(DatabaseUnavailable);
		expect(asked).not.toContain("postgres");
	});

	it("shares nothing without a lease", async () => {
		const { reads, asked } = newReads({ epoch: null, shared: ['{"id":"a"}'] });
		expect(await reads.read("acme", [token])).toEqual([{ id: "postgres" }]);
		expect(asked).toEqual(["postgres"]);
	});
});

describe("a reading while Postgres is away", () => {
	const kept = ['{"id":"a"}', '{"id":"b"}'];
	const unavailable = ["unavailable", "unavailable"] as const;

	it("has what was kept, where that is found out", async () => {
		const { reads, asked } = newReads({ isAway: false, load: unavailable, kept });
		expect(await reads.read("acme", [token, key])).toEqual([{ id: "a" }, { id: "b" }]);
		expect(asked).toEqual([
			"shared 7 ab,payments",
			"object 7 ab,payments",
			"away",
			"kept 7 ab,payments",
		]);
	});

	it("says that it is of before, so that it is not taken for fresh", async () => {
		const away = newReads({ isAway: true, load: unavailable, kept });
		expect(await away.whole.read("acme", [token])).toEqual({ rows: [{ id: "a" }], isKept: true });
		const there = newReads({});
		expect((await there.whole.read("acme", [token])).isKept).toBe(false);
	});

	it("has it where neither the object nor Postgres answers", async () => {
		const { reads, asked } = newReads({ isAway: false, load: new Error("overloaded"), kept });
		expect(await reads.read("acme", [token])).toEqual([{ id: "a" }]);
		expect(asked.slice(1)).toEqual(["object 7 ab", "postgres", "away", "kept 7 ab"]);
	});

	it("waits for nobody once that is known", async () => {
		const { reads, asked } = newReads({ isAway: true, shared: ['{"id":"fresh"}'], kept });
		expect(await reads.read("acme", [token, key])).toEqual([{ id: "fresh" }, { id: "a" }]);
		expect(asked).toEqual(["shared 7 ab,payments", "kept 7 payments"]);
	});

	it.each([true, false])("fails where a part of it was not kept (known: %s)", async (isAway) => {
		const { reads } = newReads({ isAway, load: unavailable, kept: ['{"id":"a"}', null] });
		await expect(reads.read("acme", [token, key])).rejects.toThrow(DatabaseUnavailable);
	});

	it("believes Postgres that nothing is there, and not what was kept", async () => {
		const { reads, asked } = newReads({ load: ["missing"], kept });
		expect(await reads.read("acme", [token])).toEqual([null]);
		expect(asked).not.toContain("kept 7 ab");
	});

	it("has nothing of it without a lease, or while a change is announced", async () => {
		const { reads, asked } = newReads({ epoch: null, isAway: true, kept });
		await expect(reads.read("acme", [token])).rejects.toThrow(DatabaseUnavailable);
		expect(asked).toEqual(["postgres"]);
	});
});

describe("the first reading under an epoch", () => {
	const underWay: Promise<unknown>[] = [];
	const inBackground = (work: Promise<unknown>) => void underWay.push(work);
	beforeEach(() => void underWay.splice(0));

	it("does not wait for what comes along", async () => {
		const never: ReadServices["load"] = (_, { isFirst, wanted }) =>
			isFirst
				? new Promise(() => {})
				: Promise.resolve({ answers: wanted.map(() => ({ row: row("a") })), warmed: [] });
		const { reads } = newReads({ load: never });
		expect(await reads.read("acme", [token], inBackground)).toEqual([{ id: "a" }]);
	});

	it("asks the object too, and remembers what that sends along", async () => {
		const { reads, asked, remembered, time } = newReads({ shared: ['{"id":"a"}'] });
		expect(await reads.read("acme", [token], inBackground)).toEqual([{ id: "a" }]);
		expect(asked.toSorted()).toEqual(["object 7  first", "object 7 ab", "shared 7 ab"]);
		await Promise.all(underWay);
		expect(remembered).toEqual(["hot"]);
		await reads.read("acme", [token], inBackground);
		expect(asked).toHaveLength(4);
		time.epoch = 8;
		await reads.read("acme", [token], inBackground);
		expect(asked).toContain("object 8  first");
	});

	it("takes from the object what the shared store has not", async () => {
		const { reads, asked } = newReads({ shared: [null, '{"id":"b"}'] });
		expect(await reads.read("acme", [token, key], inBackground)).toEqual([
			{ id: "object's ab" },
			{ id: "b" },
		]);
		expect(asked).toHaveLength(3);
	});

	it.each([new Error("overloaded"), ["unavailable"] as const])(
		"is content with the shared store where the object can not help: %s",
		async (load) => {
			const { reads } = newReads({ shared: ['{"id":"a"}'], load });
			expect(await reads.read("acme", [token], inBackground)).toEqual([{ id: "a" }]);
			await expect(Promise.all(underWay)).resolves.toBeDefined();
		},
	);

	it("asks Postgres, and the object not again, where neither has it", async () => {
		const { reads, asked } = newReads({ load: new Error("overloaded") });
		expect(await reads.read("acme", [token], inBackground)).toEqual([{ id: "postgres" }]);
		expect(asked.toSorted()).toEqual(["object 7  first", "object 7 ab", "postgres", "shared 7 ab"]);
	});
});

describe("warming", () => {
	it("tells what was used, and remembers what the object says is used most", async () => {
		const { reads, asked, told, remembered } = await newSettledReads({});
		reads.used("acme", "payments");
		expect(await reads.warm("acme")).toEqual(["hot"]);
		expect(asked).toEqual(["object 7  first"]);
		expect(told).toEqual([[["payments", 1]]]);
		expect(remembered.at(-1)).toBe("hot");
	});

	it("asks nobody without a lease", async () => {
		const { reads, asked } = newReads({ epoch: null });
		expect(await reads.warm("acme")).toBeNull();
		expect(asked).toEqual([]);
	});

	it("fails where the object does not answer, which is the one that knows", async () => {
		const { reads } = newReads({ load: new Error("overloaded") });
		await expect(reads.warm("acme")).rejects.toThrow("overloaded");
	});
});

it("tells what was used once, the most used first, now and then and where nothing else is wanted", async () => {
	const { reads, told, asked, time } = newReads({});
	await reads.read("acme", [token], inBackground);
	told.length = 0;
	asked.length = 0;
	for (const name of ["payments", "ops", "payments"]) reads.used("acme", name);
	await reads.read("acme", [token], inBackground);
	expect(told).toEqual([[]]); // of one that was wanted, which may be another object's
	time.now = limits.hotToldMs;
	await reads.read("acme", [token], inBackground);
	await reads.read("acme", [token], inBackground);
	const used = [
		["payments", 2],
		["ops", 1],
	];
	expect(told).toEqual([[], used, [], []]);
	expect(asked.filter((what) => what.startsWith("object"))[1]).toBe("object 7 ");
	time.epoch = 8;
	reads.used("acme", "payments");
	await reads.read("acme", [token], inBackground);
	expect(told.slice(4)).toContainEqual([["payments", 1]]);
	expect(asked).toContain("object 8  first");
});

import { describe, expect, it } from "vitest";
import type { SharedEntry, SharedStore } from "../../src/cache/shared.ts";
import { Loader } from "../../src/coordination/loader.ts";
import { type Call, type Database, DatabaseUnavailable } from "../../src/db/client.ts";
import type { Wanted } from "../../src/db/together.ts";
import * as limits from "../../src/limits.ts";

const token = { kind: "token", name: "ab" } as const;
const key = { kind: "key", name: "payments" } as const;
const unknown = { kind: "key", name: "01900000-0000-7000-8000-000000000000" } as const;
const tokenRow = { id: "token" };
const versionRow = {
	version: 1,
	public_jwk: null,
	kek_id: null,
	sealed: null,
	version_created_at: "",
};
const keyRow = { id: "key" };

/** A database that answers when it is told to, and a shared store that notes what is written. */
function newLoader() {
	const trips: string[][] = [];
	const gate = { open: Promise.resolve() };
	const answer = async (calls: readonly Call[]) => {
		trips.push(calls.map(({ statement }) => statement.name));
		await gate.open;
		return calls.map(({ statement }) =>
			statement.name.startsWith("tokens")
				? [tokenRow]
				: statement.name === "keys.byName"
					? [{ ...keyRow, ...versionRow }]
					: [],
		);
	};
	const db: Database = {
		query: async (statement, params) =>
			((await answer([{ statement, params }]))[0] ?? []) as never[],
		transaction: async (calls) => answer(calls),
	};
	const written: (SharedEntry & { epoch: number; value: string })[] = [];
	const dropped: SharedEntry[] = [];
	const shared: SharedStore = {
		read: async (_, __, entries) => entries.map(() => null),
		kept: async (_, __, entries) => entries.map(() => null),
		drop: async (_, entries) => void dropped.push(...entries),
		write: async (_, epoch, values) => void written.push(...values.map((v) => ({ ...v, epoch }))),
	};
	const background: Promise<unknown>[] = [];
	const time = { now: 0 };
	const loader = new Loader({
		db,
		shared,
		clock: () => time.now,
		background: (work) => void background.push(work),
	});
	const load = async (tenant: string, epoch: number, wanted: readonly Wanted[]) =>
		(await loader.load(tenant, { epoch, wanted, used: [], isFirst: false })).answers;
	return { loader, load, time, trips, gate, written, dropped };
}

describe("a loader", () => {
	it("reads a token and a key in one round trip, and writes each to the shared store once", async () => {
		const { load, trips, written } = newLoader();
		const answers = await load("acme", 7, [token, key]);
		expect(answers).toEqual([{ row: tokenRow }, { row: { ...keyRow, versions: [versionRow] } }]);
		expect(trips).toEqual([["tokens.byHash", "keys.byName"]]);
		expect(written.map(({ kind, name, epoch }) => [kind, name, epoch])).toEqual([
			["token", "ab", 7],
			["key", "payments", 7],
		]);
	});

	it("takes a token and a key of one name for two things", async () => {
		const { load, written } = newLoader();
		const namesake = { kind: "token", name: key.name } as const;
		const answers = await load("acme", 7, [namesake, key]);
		expect(answers).toEqual([{ row: tokenRow }, { row: { ...keyRow, versions: [versionRow] } }]);
		expect(written).toHaveLength(2);
	});

	it("reads once what a thousand ask for at the same time", async () => {
		const { load, trips, written } = newLoader();
		const asked = Array.from({ length: 1_000 }, () => load("acme", 7, [token, key]));
		const answers = await Promise.all(asked);
		expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
		expect(trips).toHaveLength(1);
		expect(written).toHaveLength(2);
	});

	it("keeps what it read until the shared store has it, and then reads it anew", async () => {
		const { load, time, trips } = newLoader();
		await load("acme", 7, [token]);
		time.now = limits.loadsHeldMs - 1;
		await load("acme", 7, [token]);
		expect(trips).toHaveLength(1);
		time.now = limits.loadsHeldMs;
		await load("acme", 7, [token]);
		expect(trips).toHaveLength(2);
	});

	it("keeps nothing of what is not there", async () => {
		const { load, trips } = newLoader();
		await load("acme", 7, [unknown]);
		await load("acme", 7, [unknown]);
		expect(trips).toHaveLength(2);
	});

	it("shares no reading with those who hold a lease of another epoch", async () => {
		const { load, trips, gate, written } = newLoader();
		const { promise, resolve } = Promise.withResolvers<void>();
		gate.open = promise;
		const both = [load("acme", 7, [token]), load("acme", 8, [token])];
		resolve();
		await Promise.all(both);
		expect(trips).toHaveLength(2);
		expect(written.map(({ epoch }) => epoch)).toEqual([7, 8]);
	});

	it("says of what is not there that it is missing, and writes nothing of it", async () => {
		const { load, written, dropped } = newLoader();
		expect(await load("acme", 7, [unknown])).toEqual(["missing"]);
		expect(dropped).toEqual([unknown]); // what was kept of it is of before
		expect(written).toEqual([]);
	});

	it("says so when the database does not tell, and asks it again the next time", async () => {
		const { load, gate, trips } = newLoader();
		gate.open = Promise.reject(new DatabaseUnavailable("away"));
		expect(await load("acme", 7, [token, key])).toEqual(["unavailable", "unavailable"]);
		gate.open = Promise.resolve();
		expect(await load("acme", 7, [token])).toEqual([{ row: tokenRow }]);
		expect(trips).toHaveLength(2);
	});

	it("refuses more than it may have under way", async () => {
		const { load, time, gate } = newLoader();
		const { promise, resolve } = Promise.withResolvers<void>();
		gate.open = promise;
		const many = Array.from({ length: limits.loadsHeld }, (_, index) =>
			load("acme", 7, [{ kind: "token", name: String(index) }]),
		);
		await expect(load("acme", 7, [token])).rejects.toThrow("too much");
		resolve();
		await Promise.all(many);
		time.now = limits.loadsHeldMs;
		expect(await load("acme", 7, [token])).toEqual([{ row: tokenRow }]);
	});

	it("gives those who have nothing yet what is used most, beside what they asked for", async () => {
		const { loader, trips } = newLoader();
		const used = [
			["seldom", 1],
			["payments", 5],
			["often", 9],
		] as const;
		await loader.load("acme", { epoch: 7, wanted: [], used, isFirst: false });
		const first = { epoch: 7, wanted: [token, key], used: [], isFirst: true };
		const { answers, warmed } = await loader.load("acme", first);
		expect(answers).toHaveLength(2);
		expect(warmed.map(({ name }) => name)).toEqual(["often", "seldom"]);
		expect(trips).toEqual([
			["tokens.byHash", "keys.byName"],
			["keys.byName", "keys.byName"],
		]);
	});

	it("does not believe that there is none of a reading that began before it was asked", async () => {
		const { load, trips, gate } = newLoader();
		const { promise, resolve } = Promise.withResolvers<void>();
		gate.open = promise;
		const early = load("acme", 7, [unknown]);
		const late = load("acme", 7, [unknown]);
		gate.open = Promise.resolve();
		resolve();
		expect(await Promise.all([early, late])).toEqual([["missing"], ["missing"]]);
		expect(trips).toHaveLength(2);
	});

	it("lets what was read expire while something else is still under way", async () => {
		const { load, time, trips, gate } = newLoader();
		const { promise, resolve } = Promise.withResolvers<void>();
		gate.open = promise;
		const stalled = load("acme", 7, [key]);
		gate.open = Promise.resolve();
		await load("acme", 7, [token]);
		time.now = limits.loadsHeldMs;
		await load("acme", 7, [token]);
		expect(trips).toHaveLength(3);
		resolve();
		await stalled;
	});
});

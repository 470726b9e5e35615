import { describe, expect, it } from "vitest";
import type { SharedStore } from "../../src/cache/shared.ts";
import { createReads, type ReadServices } from "../../src/coordination/reads.ts";
import { type Database, DatabaseUnavailable } from "../../src/db/client.ts";
import type { LoadAnswer, Wanted } from "../../src/db/together.ts";

const token = { kind: "token", name: "ab" } as const;
const key = { kind: "key", name: "payments" } as const;
const row = (id: string) => ({ id }) as unknown as Extract<LoadAnswer, object>["row"];

/** Each part notes what it is asked for, in the order of asking. */
function newReads(parts: {
	readonly shared?: readonly (string | null)[];
	readonly load?: readonly LoadAnswer[] | Error;
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
		write: async () => {},
	};
	const db = {
		query: async () => {
			asked.push("postgres");
			return [{ id: "postgres" }];
		},
		transaction: async (calls: readonly unknown[]) => {
			asked.push("postgres");
			return calls.map(() => [{ id: "postgres" }]);
		},
	} as unknown as Database;
	const load: ReadServices["load"] = async (_, epoch, wanted) => {
		asked.push(`object ${epoch} ${namesOf(wanted)}`);
		if (parts.load instanceof Error) throw parts.load;
		return parts.load ?? wanted.map(({ name }) => ({ row: row(`object's ${name}`) }));
	};
	const epochNow = () => (parts.epoch === undefined ? 7 : parts.epoch);
	return { reads: createReads({ db, shared, epochNow, load }), asked };
}

describe("a reading", () => {
	it("ends at the shared store where that has all", async () => {
		const { reads, asked } = newReads({ shared: ['{"id":"a"}', '{"id":"b"}'] });
		expect(await reads("acme", [token, key])).toEqual([{ id: "a" }, { id: "b" }]);
		expect(asked).toEqual(["shared 7 ab,payments"]);
	});

	it("asks the object for what the shared store has not, and for nothing else", async () => {
		const { reads, asked } = newReads({ shared: [null, '{"id":"b"}'] });
		expect(await reads("acme", [token, key])).toEqual([{ id: "object's ab" }, { id: "b" }]);
		expect(asked).toEqual(["shared 7 ab,payments", "object 7 ab"]);
	});

	it("takes the object's word for what is not there", async () => {
		const { reads, asked } = newReads({ load: ["missing", { row: row("k") }] });
		expect(await reads("acme", [token, key])).toEqual([null, { id: "k" }]);
		expect(asked).not.toContain("postgres");
	});

	it("asks Postgres itself where the object does not answer", async () => {
		const { reads, asked } = newReads({ load: new Error("overloaded") });
		expect(await reads("acme", [token])).toEqual([{ id: "postgres" }]);
		expect(asked).toEqual(["shared 7 ab", "object 7 ab", "postgres"]);
	});

	it("fails, and asks nobody else, where Postgres does not answer the object", async () => {
		const { reads, asked } = newReads({ load: ["unavailable", "unavailable"] });
		await expect(reads("acme", [token, key])).rejects.toThrow(DatabaseUnavailable);
		expect(asked).not.toContain("postgres");
	});

	it("shares nothing without a lease", async () => {
		const { reads, asked } = newReads({ epoch: null, shared: ['{"id":"a"}'] });
		expect(await reads("acme", [token])).toEqual([{ id: "postgres" }]);
		expect(asked).toEqual(["postgres"]);
	});
});

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { Begun, Ticket } from "../../src/idempotency/entry.ts";
import * as limits from "../../src/limits.ts";
import { namespace, newIdempotencyKey } from "./support.ts";

const seed = Uint8Array.of(1, 2, 3);
const bytes = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>;
const newObject = () => namespace.getByName(newIdempotencyKey());
type Object = ReturnType<typeof newObject>;

function begin(object: Object, name = "n", fingerprint = "f"): Promise<Begun> {
	return object.begin({ name, fingerprint, seed });
}

async function ticketOf(begun: Promise<Begun>): Promise<Ticket> {
	const given = await begun;
	if (given.state !== "run") throw new Error(`it is ${given.state}`);
	return given.ticket;
}

function finish(object: Object, ticket: Ticket, answer: string, isRefusal = false) {
	return object.finish({ ticket, answer: bytes(answer), isRefusal });
}

async function letPass(object: Object, milliseconds: number): Promise<void> {
	await runInDurableObject(object, (_, { storage }) => {
		storage.sql.exec(
			"update entries set created_at = created_at - ?, started_at = started_at - ?",
			...[milliseconds, milliseconds],
		);
	});
}

async function countOf(object: Object): Promise<number> {
	return runInDurableObject(object, (_, { storage }) =>
		Number(storage.sql.exec("select count(*) as n from entries").one().n),
	);
}

/** As if its database had so many bytes. */
async function haveSize(object: Object, databaseSize: number): Promise<void> {
	await runInDurableObject(object, (_, { storage }) => {
		Object.defineProperty(storage.sql, "databaseSize", { value: databaseSize, configurable: true });
	});
}

describe("the object that keeps answers", () => {
	it("lets one of many run, and gives its answer to all who come later", async () => {
		const object = newObject();
		const begun = await Promise.all(Array.from({ length: 50 }, () => begin(object)));
		const running = begun.filter(({ state }) => state === "run");
		expect(running).toHaveLength(1);
		expect(begun.filter(({ state }) => state === "running")).toHaveLength(49);
		const ticket = await ticketOf(Promise.resolve(running[0] as Begun));
		expect(ticket.attempt).toBe(1);
		expect(await finish(object, ticket, "one")).toEqual({ answer: bytes("one"), isOwn: true });
		expect(await begin(object)).toEqual({ state: "done", answer: bytes("one") });
		expect(await object.answerOf("n")).toEqual(bytes("one"));
	});

	it("keeps what it has when it is evicted", async () => {
		const object = newObject();
		const ticket = await ticketOf(begin(object));
		await evictDurableObject(object);
		expect(await begin(object)).toEqual({ state: "running" });
		await finish(object, ticket, "one");
		await evictDurableObject(object);
		expect(await begin(object)).toEqual({ state: "done", answer: bytes("one") });
	});

	it("keeps names apart, and refuses another request under one", async () => {
		const object = newObject();
		await finish(object, await ticketOf(begin(object)), "one");
		expect(await begin(object, "n", "other")).toEqual({ state: "mismatch" });
		expect((await begin(object, "m", "other")).state).toBe("run");
	});

	it("lets the next attempt run after a release, with the first one's seed", async () => {
		const object = newObject();
		await object.release(await ticketOf(begin(object)));
		const next = await object.begin({ name: "n", fingerprint: "f", seed: Uint8Array.of(9) });
		expect(next).toMatchObject({ state: "run", ticket: { attempt: 2 }, seed });
	});

	it("takes no release of an attempt that another one has replaced", async () => {
		const object = newObject();
		const stalled = await ticketOf(begin(object));
		await letPass(object, limits.idempotencyRunningMs);
		expect((await ticketOf(begin(object))).attempt).toBe(2);
		await object.release(stalled);
		expect(await begin(object)).toEqual({ state: "running" });
	});

	it("keeps the first answer when a stalled attempt and its successor both have one", async () => {
		for (const stalledFirst of [true, false]) {
			const object = newObject();
			const stalled = await ticketOf(begin(object));
			await letPass(object, limits.idempotencyRunningMs);
			const second = await ticketOf(begin(object));
			const moved = { ...stalled, createdAt: second.createdAt };
			const order = stalledFirst ? [moved, second] : [second, moved];
			const [first, last] = order as [Ticket, Ticket];
			expect(await finish(object, first, "first")).toEqual({
				answer: bytes("first"),
				isOwn: true,
			});
			expect(await finish(object, last, "last")).toEqual({ answer: bytes("first"), isOwn: false });
		}
	});

	it("does not take a refusal of an attempt that another one has replaced", async () => {
		const object = newObject();
		const stalled = await ticketOf(begin(object));
		await letPass(object, limits.idempotencyRunningMs);
		const second = await ticketOf(begin(object));
		const moved = { ...stalled, createdAt: second.createdAt };
		expect(await finish(object, moved, "no", true)).toBeNull();
		expect(await finish(object, second, "yes")).toMatchObject({ isOwn: true });
		expect(await finish(object, moved, "no", true)).toEqual({ answer: bytes("yes"), isOwn: false });
	});

	it("gives a key's second use nothing of its first one", async () => {
		const object = newObject();
		const old = await ticketOf(begin(object));
		await letPass(object, limits.idempotencyKeptMs);
		const fresh = await ticketOf(begin(object, "n", "another request"));
		expect(fresh.attempt).toBe(1);
		expect(await finish(object, old, "old")).toBeNull();
		await object.release(old);
		expect(await finish(object, fresh, "new")).toMatchObject({ isOwn: true });
	});

	it("takes no new name when it is full, and still answers those that it knows", async () => {
		const object = newObject();
		await finish(object, await ticketOf(begin(object, "done")), "one");
		const running = await ticketOf(begin(object, "running"));
		await object.release(await ticketOf(begin(object, "released")));
		await haveSize(object, limits.idempotencyBytes + 1);
		expect(await begin(object, "new")).toEqual({ state: "full" });
		expect(await countOf(object)).toBe(3);
		expect(await begin(object, "done")).toEqual({ state: "done", answer: bytes("one") });
		expect((await begin(object, "released")).state).toBe("run");
		expect(await finish(object, running, "two")).toMatchObject({ isOwn: true });
		await haveSize(object, limits.idempotencyBytes);
		expect((await begin(object, "new")).state).toBe("run");
	});

	it("keeps an answer of the largest size", async () => {
		const object = newObject();
		const answer = new Uint8Array(limits.idempotentAnswerBytes + 100).fill(7);
		await object.finish({ ticket: await ticketOf(begin(object)), answer, isRefusal: false });
		expect(await begin(object)).toEqual({ state: "done", answer });
	});
});

describe("its alarm", () => {
	const deletedAfterMs = limits.idempotencyKeptMs + limits.idempotencyRunningMs;

	it("is set by the first entry, for when that is over", async () => {
		const object = newObject();
		const ticket = await ticketOf(begin(object));
		await begin(object, "m");
		const alarm = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
		expect(alarm).toBe(ticket.createdAt + deletedAfterMs);
	});

	it("deletes what is over and nothing else, and is set again for the rest", async () => {
		const object = newObject();
		await finish(object, await ticketOf(begin(object, "old")), "one");
		await letPass(object, deletedAfterMs - 10_000);
		await begin(object, "young");
		await letPass(object, 10_000);
		expect(await runDurableObjectAlarm(object)).toBe(true);
		expect(await countOf(object)).toBe(1);
		expect((await begin(object, "young")).state).toBe("running");
		const alarm = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
		expect(alarm).toBeGreaterThan(Date.now() + deletedAfterMs - 60_000);
	});

	it("deletes in slices, and rests when nothing is left", async () => {
		const object = newObject();
		const count = limits.idempotencyDeletedPerAlarm + 1;
		await begin(object);
		await runInDurableObject(object, (_, { storage }) => {
			storage.sql.exec(
				`with recursive n (i) as (select 1 union all select i + 1 from n where i < ?)
				insert into entries (name, fingerprint, seed, attempt, created_at)
				select 'n' || i, 'f', x'00', 1, 0 from n`,
				count,
			);
		});
		await letPass(object, deletedAfterMs);
		expect(await runDurableObjectAlarm(object)).toBe(true);
		// What is left is due already, so the next alarm may have rung before this looks.
		expect([0, 2]).toContain(await countOf(object));
		await runDurableObjectAlarm(object);
		expect(await countOf(object)).toBe(0);
		const alarm = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
		expect(alarm).toBeNull();
		await begin(object);
		const again = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
		expect(again).not.toBeNull();
	});
});

import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuditLog } from "../../durable-objects/audit-log.ts";
import { joinAppends, splitBlock } from "../../src/audit/block.ts";
import type { Bytes } from "../../src/lib/bytes.ts";
import * as limits from "../../src/limits.ts";
import { ownerSql } from "../support/tenant.ts";
import {
	breaksOf,
	drain,
	evict,
	idsOf,
	newAppend,
	newPlace,
	objectAt,
	ring,
	stateOf,
	storedOf,
	waitingIn,
} from "./support.ts";

/** An eviction waits for the time-out of every query that is under way. */
const evictionTimeoutMs = 4 * limits.databaseTimeoutMs;

let place: string;
let tenant: string;
beforeEach(() => {
	place = newPlace();
	tenant = place.slice(0, place.indexOf("/"));
});

function append(records: Bytes, isRepeated = false) {
	return objectAt(place).append(joinAppends([records]), isRepeated);
}

async function idsThatWait(): Promise<string[]> {
	return (await waitingIn(place)).map(({ id }) => id);
}

async function idsInPostgres(): Promise<string[]> {
	return (await storedOf(tenant)).map(({ id }) => id);
}

/** Of objects that move many records: in these tests there is one that does. */
async function connectionsOpen(): Promise<number> {
	const query = "select from pg_stat_activity where application_name = 'edgesign pool'";
	return (await ownerSql().query(query)).length;
}

/** Runs in the object's isolate, where its fields are. */
function inObject(work: (object: AuditLog, storage: DurableObjectStorage) => void): Promise<void> {
	return runInDurableObject(objectAt(place), (object, { storage }) => work(object, storage));
}

/** Calls of the object to Postgres go through this, until it is taken away. */
async function withPostgres<T>(
	respond: (send: () => Promise<Response>) => Promise<Response>,
	work: () => Promise<T>,
): Promise<T> {
	const real = globalThis.fetch;
	globalThis.fetch = (input, init) => respond(() => real(input, init));
	try {
		return await work();
	} finally {
		globalThis.fetch = real;
	}
}

const away = () => Promise.reject(new TypeError("connection refused"));

/** In a group of tests: the alarm rings by itself a second after an append, and moves nothing then. */
function withoutMoves(): void {
	const real = globalThis.fetch;
	beforeEach(() => {
		globalThis.fetch = away;
	});
	afterEach(() => {
		globalThis.fetch = real;
	});
}

describe("an append", () => {
	withoutMoves();

	it("is there when it is answered, in the order of the answers", async () => {
		const appends = [newAppend(place), newAppend(place), newAppend(place)];
		for (const records of appends) expect(await append(records)).toBe("kept");
		expect(await idsThatWait()).toEqual(idsOf(...appends));
	});

	it("is there after the object is evicted, and the chain goes on from it", async () => {
		const [before, after] = [newAppend(place), newAppend(place)];
		await append(before);
		await evict(place);
		await append(after);
		expect(await idsThatWait()).toEqual(idsOf(before, after));
	});

	it("of a batch is one row, and 1,000 records", async () => {
		const batch = newAppend(place, 1000);
		expect(await append(batch)).toBe("kept");
		expect((await stateOf(place)).blocks).toBe(1);
		expect(await idsThatWait()).toEqual(idsOf(batch));
		expect(batch.length).toBeLessThan(80_000);
	});

	it("shares its write with others that come at the same time, and each is there once", async () => {
		const appends = Array.from({ length: 200 }, () => newAppend(place));
		const answers = await Promise.all(appends.map((records) => append(records)));
		expect(new Set(answers)).toEqual(new Set(["kept"]));
		expect((await idsThatWait()).sort()).toEqual(idsOf(...appends).sort());
		expect((await stateOf(place)).blocks).toBeLessThan(100);
	});

	it("that is none is refused, and does no harm to those beside it", async () => {
		const good = newAppend(place);
		const [bad, kept] = await Promise.allSettled([append(good.subarray(0, 50)), append(good)]);
		expect([bad.status, kept.status]).toEqual(["rejected", "fulfilled"]);
		expect(await idsThatWait()).toEqual(idsOf(good));
	});

	it("without a record is refused, alone and beside others", async () => {
		const good = newAppend(place);
		const headAlone = good.subarray(0, 2 + (((good[0] ?? 0) << 8) | (good[1] ?? 0)));
		const nothing = (appends: Uint8Array<ArrayBuffer>) =>
			runInDurableObject(objectAt(place), (object) => object.append(appends, false));
		for (const appends of [new Uint8Array(0), joinAppends([headAlone])]) {
			await expect(nothing(appends)).rejects.toThrow("an append has a record");
		}
		expect(await append(good)).toBe("kept");
		expect(await idsThatWait()).toEqual(idsOf(good));
	});

	it("shares no row with more than a row may hold, unless it has as much by itself", async () => {
		const large = Array.from({ length: 6 }, () => newAppend(place, 2_000));
		const small = Array.from({ length: 6 }, () => newAppend(place));
		const two = 2 * (large[0]?.length ?? 0);
		expect([two > limits.auditBlockBytes, two / 2 > limits.auditBlockBytes]).toEqual([true, false]);
		await Promise.all([...large, ...small].map((records) => append(records)));
		const blocks = await runInDurableObject(objectAt(place), (_, { storage }) =>
			[...storage.sql.exec("select bytes from blocks")].map(
				({ bytes }) => new Uint8Array(bytes as ArrayBuffer),
			),
		);
		const over = blocks.filter(({ length }) => length > limits.auditBlockBytes);
		expect(over.filter((bytes) => splitBlock(bytes).length > 1)).toEqual([]);
		expect((await idsThatWait()).sort()).toEqual(idsOf(...large, ...small).sort());
	});

	it("that could not be written is told so, and the next one leaves no hole in the chain", async () => {
		const [before, lost, after] = [newAppend(place), newAppend(place), newAppend(place)];
		await append(before);
		const isOver = await runInDurableObject(objectAt(place), async (object, state) => {
			const { storage } = state;
			storage.sync = async () => {
				storage.sql.exec("delete from blocks where sequence = 2");
				throw new Error("the disk is full");
			};
			let aborted = false;
			// That of the platform would end the test too: an eviction does the rest of it.
			state.abort = () => {
				aborted = true;
			};
			await expect(object.append(joinAppends([lost]), false)).rejects.toThrow("the disk is full");
			Reflect.deleteProperty(storage, "sync");
			return aborted;
		});
		if (isOver) await evict(place);
		expect(await append(after)).toBe("kept");
		expect(await idsThatWait()).toEqual(idsOf(before, after));
	});

	it("under the id of another is kept once, whatever it says", async () => {
		const records = newAppend(place);
		const other = newAppend(place);
		other.set(records.subarray(3, 19), 3);
		await append(records, true);
		expect(await append(other, true)).toBe("kept");
		expect(await waitingIn(place)).toHaveLength(1);
	});
});

describe("an append with a move in between", () => {
	it("that comes again is kept once: at once, together, after an eviction, and after the move", async () => {
		const records = newAppend(place, 3);
		await Promise.all([append(records, true), append(records, true)]);
		await append(records, true);
		await evict(place);
		await append(records, true);
		await drain(place);
		expect(await append(records, true)).toBe("kept");
		expect(await idsThatWait()).toEqual([]);
		expect(await idsInPostgres()).toEqual(idsOf(records));
	});

	it(
		"to an object that lost its storage begins another chain",
		async () => {
			await append(newAppend(place));
			await drain(place);
			await runInDurableObject(objectAt(place), (_, { storage }) => storage.deleteAll());
			await evict(place);
			await append(newAppend(place));
			await drain(place);
			const stored = await storedOf(tenant);
			expect(stored.map(({ sequence }) => sequence)).toEqual([1, 1]);
			expect(new Set(stored.map(({ chain }) => chain)).size).toBe(2);
			expect(await breaksOf(tenant)).toEqual([]);
		},
		evictionTimeoutMs,
	);
});

describe("a full backlog", () => {
	withoutMoves();

	/** As if so much had been written that Postgres has not taken. */
	async function fill(records: number, bytes: number): Promise<void> {
		await append(newAppend(place));
		await inObject((_, { sql }) => {
			sql.exec(
				"update chain set moved_sequence = moved_sequence - ?, moved_bytes = moved_bytes - ?",
				records,
				bytes,
			);
		});
		await evict(place);
	}

	it.each([
		["records", limits.auditBacklogRecords - 2, 0],
		["bytes", 0, limits.auditBacklogBytes - 500],
	])("of %s refuses what is too much, and takes what still fits", async (_, records, bytes) => {
		await fill(records, bytes);
		expect(await append(newAppend(place))).toBe("kept");
		expect(await append(newAppend(place))).toBe("full");
	});

	it("is told to all who came with it, and the small ones among them are kept", async () => {
		await fill(limits.auditBacklogRecords - 8, 0);
		const answers = await Promise.all(
			[4, 1, 10, 1].map((count) => append(newAppend(place, count))),
		);
		expect(answers).toEqual(["kept", "kept", "full", "kept"]);
	});
});

describe("the move to Postgres", () => {
	it("is due soon after the first record, and later ones do not put it off", async () => {
		const start = Date.now();
		await append(newAppend(place));
		const end = Date.now();
		const { alarm } = await stateOf(place);
		await append(newAppend(place));
		const { alarm: later } = await stateOf(place);
		// On a busy machine it may have rung by now: what comes after that is due anew.
		if (alarm !== null) {
			expect(alarm).toBeGreaterThanOrEqual(start + limits.auditMoveDelayMs);
			expect(alarm).toBeLessThanOrEqual(end + limits.auditMoveDelayMs);
			const hasRung = later === null || later >= alarm + limits.auditMoveDelayMs;
			expect(hasRung || later === alarm).toBe(true);
		}
		await expect.poll(idsInPostgres).toHaveLength(2);
	});

	it("brings every field, in the order of the chain, and keeps nothing behind", async () => {
		const single = newAppend(place, 1, { inputKind: "digest", outcome: "invalid" });
		const bare = newAppend(place, 1, { inputKind: null, input: null, signature: null });
		const batch = newAppend(place, 5);
		const waiting = await withPostgres(away, async () => {
			for (const records of [single, bare, batch]) await append(records);
			return waitingIn(place);
		});
		await drain(place);
		const stored = await storedOf(tenant);
		expect(stored.map(({ chain: _, sequence: __, link: ___, ...record }) => record)).toEqual(
			waiting,
		);
		expect(stored.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7]);
		expect(await breaksOf(tenant)).toEqual([]);
		expect((await stateOf(place)).blocks).toBe(0);
	});

	it(
		"goes on from there when the object was evicted in between",
		async () => {
			await append(newAppend(place, 3));
			await drain(place);
			await evict(place);
			await append(newAppend(place, 2));
			await drain(place);
			expect((await storedOf(tenant)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
			expect(await breaksOf(tenant)).toEqual([]);
		},
		evictionTimeoutMs,
	);

	it("takes more than one statement holds", async () => {
		const appends = Array.from({ length: 7 }, () => newAppend(place, 1000));
		for (const records of appends) await append(records);
		await drain(place);
		expect(await idsInPostgres()).toEqual(idsOf(...appends));
		expect(await breaksOf(tenant)).toEqual([]);
	});

	it("goes over connections of the object's own when there are many, and lets go of them", async () => {
		const appends = Array.from({ length: 3 }, () => newAppend(place, 4_000));
		await withPostgres(away, async () => {
			for (const records of appends) await append(records);
		});
		await drain(place);
		expect(await connectionsOpen()).toBeGreaterThan(0);
		expect((await idsInPostgres()).length).toBe(12_000);
		expect(await breaksOf(tenant)).toEqual([]);
		await expect.poll(connectionsOpen, { interval: 100 }).toBe(0);
	}, 60_000);

	it("is tried again when Postgres is away, and records are taken meanwhile", async () => {
		const [before, meanwhile] = [newAppend(place), newAppend(place)];
		await withPostgres(away, async () => {
			await append(before);
			await ring(place);
			expect(await append(meanwhile)).toBe("kept");
			await ring(place);
			expect(await idsThatWait()).toEqual(idsOf(before, meanwhile));
			// None for a moment, where it rings by itself just then.
			await expect.poll(async () => (await stateOf(place)).alarm).not.toBeNull();
		});
		await drain(place);
		expect(await idsInPostgres()).toEqual(idsOf(before, meanwhile));
	});

	it(
		"is done once when the answer of Postgres was lost, and the object with it",
		async () => {
			const appends = [newAppend(place, 2), newAppend(place)];
			await withPostgres(
				async (send) => {
					await send();
					throw new TypeError("connection lost");
				},
				async () => {
					for (const records of appends) await append(records);
					await ring(place);
					expect(await idsThatWait()).toEqual(idsOf(...appends));
					await evict(place);
				},
			);
			expect(await idsInPostgres()).toEqual(idsOf(...appends));
			const later = newAppend(place);
			await append(later);
			await drain(place);
			expect(await idsInPostgres()).toEqual(idsOf(...appends, later));
			expect(await breaksOf(tenant)).toEqual([]);
		},
		evictionTimeoutMs,
	);

	it("loses no record that has no partition, and its row is found when there is one", async () => {
		const old = newAppend(place);
		old.set([0x00, 0xdc, 0x6a, 0xcf, 0xac, 0x00], 3); // 2000-01-01
		await append(old);
		await drain(place);
		const rows = await ownerSql().query(
			"select tableoid::regclass::text as part, at from audit_events where tenant_id = $1",
			[tenant],
		);
		expect(rows).toEqual([{ part: "audit_events_default", at: new Date("2000-01-01T00:00:00Z") }]);
		expect(await breaksOf(tenant)).toEqual([]);
	});

	it("does not bring what is broken in storage", async () => {
		await withPostgres(away, async () => {
			await append(newAppend(place));
			await inObject((_, { sql }) => {
				sql.exec("update blocks set link = zeroblob(32)");
			});
		});
		await ring(place);
		expect(await idsInPostgres()).toEqual([]);
		expect((await stateOf(place)).blocks).toBe(1);
	});

	it("brings what is before the broken, and drops that", async () => {
		const whole = Array.from({ length: 5 }, () => newAppend(place, limits.auditMoveRecords / 5));
		await withPostgres(away, async () => {
			for (const records of [...whole, newAppend(place)]) await append(records);
			await inObject((_, { sql }) => {
				sql.exec(
					"update blocks set link = zeroblob(32) where sequence = (select max(sequence) from blocks)",
				);
			});
		});
		await ring(place);
		expect(await idsInPostgres()).toEqual(idsOf(...whole));
		expect((await stateOf(place)).blocks).toBe(1);
	});

	it("forgets what came under a key when that is over and Postgres has it, not before", async () => {
		const age = () =>
			inObject((_, { sql }) => {
				sql.exec("update repeated set appended_at = appended_at - ?", limits.auditRepeatedKeptMs);
			});
		const known = () =>
			runInDurableObject(objectAt(place), (_, { storage }) =>
				Number(storage.sql.exec("select count(*) as n from repeated").one().n),
			);
		await withPostgres(away, async () => {
			await append(newAppend(place), true);
			await age();
			await ring(place);
			expect(await known()).toBe(1);
		});
		await drain(place);
		await ring(place);
		expect(await known()).toBe(0);
	});

	it("knows what came under a key for longer than the key can come again", () => {
		const untilLast = limits.idempotencyKeptMs + limits.idempotencyRunningMs;
		expect(limits.auditRepeatedKeptMs).toBeGreaterThan(untilLast);
	});

	it("keeps a link of some records that have moved, until they are archived long since", async () => {
		const marks = () =>
			runInDurableObject(objectAt(place), (_, { storage }) =>
				[...storage.sql.exec("select * from marks")].map(({ sequence }) => Number(sequence)),
			);
		const each = limits.auditMarkRecords / 2;
		for (let made = 0; made < 5; made++) await append(newAppend(place, each));
		expect(await marks()).toEqual([]);
		await drain(place);
		// Each is the end of a block; nothing new is told by a block within the same stretch.
		expect(await marks()).toEqual([2 * each, 4 * each]);
		await inObject((_, { sql }) => {
			sql.exec(
				"update marks set at = at - ? where sequence = ?",
				limits.auditMarksKeptMs,
				2 * each,
			);
		});
		await append(newAppend(place));
		await drain(place);
		expect(await marks()).toEqual([4 * each]);
	});

	it("leaves an alarm behind for what it still has to forget", async () => {
		const start = Date.now();
		await append(newAppend(place), true);
		await drain(place);
		await ring(place);
		const { alarm } = await stateOf(place);
		expect((alarm ?? 0) - start).toBeGreaterThan(limits.auditRepeatedKeptMs - 60_000);
	});
});

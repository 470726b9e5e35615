import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { joinAppends } from "../../src/audit/block.ts";
import { MovePace } from "../../src/audit/pace.ts";
import { timeOf } from "../../src/audit/record.ts";
import { unfiltered } from "../../src/audit/source.ts";
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
} from "./support.ts";

/** Far enough ahead that no alarm rings by itself. */
const farMs = 24 * 3600 * 1000;

let place: string;
let tenant: string;
beforeEach(() => {
	place = newPlace();
	tenant = place.slice(0, place.indexOf("/"));
});

const realFetch = globalThis.fetch;
const realNow = Date.now;
afterEach(() => {
	globalThis.fetch = realFetch;
	Date.now = realNow;
});

/** Until it is told otherwise, no call of an object comes to Postgres. */
function takePostgresAway(): void {
	globalThis.fetch = () => Promise.reject(new TypeError("connection refused"));
}

interface Sent {
	readonly records: number;
	/** Statements that were under way when it was sent, with itself. */
	readonly beside: number;
}

const tooSlow = { message: "canceling statement due to statement timeout", code: "57014" };

/** A Postgres that is slow: of the tenant's records it takes no more than so many in one statement; what it was sent. */
function slowPostgres(most: number): { readonly sent: Sent[]; allow(most: number): void } {
	const sent: Sent[] = [];
	let [allowed, underWay] = [most, 0];
	let failing: Promise<void> | null = null;
	globalThis.fetch = async (input, init) => {
		const { query = "", params = [] } = JSON.parse(String(init?.body));
		if (!query.includes("audit.insert") || params[0] !== tenant) return realFetch(input, init);
		const records = recordsOf(params);
		underWay++;
		sent.push({ records, beside: underWay });
		try {
			if (records <= allowed) return await realFetch(input, init);
			// Those that are sent together fail together: none is left under way when the next is sent.
			failing ??= scheduler.wait(1);
			await failing;
			failing = null;
			return Response.json(tooSlow, { status: 400 });
		} finally {
			underWay--;
		}
	};
	return {
		sent,
		allow(more) {
			allowed = more;
		},
	};
}

/** How many a statement brings: one of its values is the number of each one's kind. */
function recordsOf(params: readonly unknown[]): number {
	const kinds = params[7];
	return Array.isArray(kinds) ? kinds.length : String(kinds).split(",").length;
}

/** One call, and so one block. */
function append(...appends: readonly Bytes[]) {
	return objectAt(place).append(joinAppends(appends), false);
}

function appendsOf(count: number, records: number): Bytes[] {
	return Array.from({ length: count }, () => newAppend(place, records));
}

/** An object that has these blocks, and has tried to move none of them. */
async function filled(blocks: readonly (readonly Bytes[])[]): Promise<void> {
	takePostgresAway();
	for (const appends of blocks) expect(await append(...appends)).toBe("kept");
	await runInDurableObject(objectAt(place), (_, { storage }) =>
		storage.setAlarm(Date.now() + farMs),
	);
	await evict(place);
}

async function idsInPostgres(): Promise<string[]> {
	return (await storedOf(tenant)).map(({ id }) => id);
}

describe("a move to a Postgres that is slow", () => {
	it("is half as large after each failure, and one statement at a time, until it gets through", async () => {
		const appends = appendsOf(60, 100);
		await filled(appends.map((records) => [records]));
		const { sent } = slowPostgres(700);
		await drain(place);
		expect(sent).toEqual([
			{ records: 5_000, beside: 1 },
			{ records: 1_000, beside: 2 },
			...[2_500, 1_300].map((records) => ({ records, beside: 1 })),
			...[700, 700, 700, 700, 700, 700, 700, 700, 400].map((records) => ({ records, beside: 1 })),
		]);
		expect(await idsInPostgres()).toEqual(idsOf(...appends));
		expect(await breaksOf(tenant)).toEqual([]);
	});

	it("cuts a block that is too large by itself, and drops it when all of it was taken", async () => {
		const appends = appendsOf(3, 1_000);
		await filled([appends]);
		const { sent } = slowPostgres(700);
		await drain(place);
		const records = [3_000, 3_000, 1_250, 625, 625, 625, 625, 500];
		expect(sent).toEqual(records.map((count) => ({ records: count, beside: 1 })));
		expect(await idsInPostgres()).toEqual(idsOf(...appends));
		expect(await breaksOf(tenant)).toEqual([]);
	});

	it("grows again with each success, until two statements are under way at once", async () => {
		await filled(appendsOf(3, 1_000).map((records) => [records]));
		const { sent, allow } = slowPostgres(0);
		await ring(place);
		allow(Number.POSITIVE_INFINITY);
		await drain(place);
		const isPaired = () => sent.some(({ beside }) => beside > 1);
		expect(isPaired()).toBe(false);
		for (let round = 0; round < 20 && !isPaired(); round++) {
			for (const records of appendsOf(6, 1_000)) await append(records);
			await drain(place);
		}
		expect(isPaired()).toBe(true);
		expect(Math.max(...sent.map(({ records }) => records))).toBe(limits.auditMoveRecords);
	});

	it("gets through where Postgres itself ends every statement of many records", async () => {
		const appends = appendsOf(12, 300);
		await filled(appends.map((records) => [records]));
		globalThis.fetch = realFetch;
		const sql = ownerSql();
		const name = `slow_${tenant.replaceAll("-", "_")}`;
		// As its time-out does, and at once: one that waits has the log for so long, and other tests drop partitions.
		await sql.query(
			`create function ${name}() returns trigger language plpgsql as $$
			declare place integer := coalesce(nullif(current_setting('slow.place', true), ''), '0');
			begin
				perform set_config('slow.place', (place + 1)::text, true);
				if place >= 3000 then raise exception using errcode = 'query_canceled'; end if;
				return new;
			end $$`,
		);
		// On the day's partition alone: one on the whole log has to have all of it, which other tests are at.
		const [id = ""] = idsOf(...appends);
		const day = new Date(timeOf({ id })).toISOString().slice(0, 10);
		try {
			await sql.query(
				`create trigger ${name} before insert on audit_events_${day.replaceAll("-", "")}
				for each row when (new.tenant_id = '${tenant}') execute function ${name}()`,
			);
			await drain(place);
		} finally {
			await sql.query(`drop function ${name} cascade`);
		}
		expect(await idsInPostgres()).toEqual(idsOf(...appends));
		expect(await breaksOf(tenant)).toEqual([]);
	}, 120_000);
});

describe("a move that Postgres is not to blame for", () => {
	it("is down to a block in the end, and brings all that is before the broken one", async () => {
		const whole = appendsOf(3, 1);
		await filled([...whole, newAppend(place)].map((records) => [records]));
		await runInDurableObject(objectAt(place), (_, { storage }) => {
			storage.sql.exec("update blocks set link = zeroblob(32) where sequence = 4");
		});
		globalThis.fetch = realFetch;
		for (let alarm = 0; alarm < 100 && (await stateOf(place)).blocks > 1; alarm++) {
			await ring(place);
		}
		expect(await idsInPostgres()).toEqual(idsOf(...whole));
		expect((await stateOf(place)).blocks).toBe(1);
	});
});

describe("the pace of moves", () => {
	it("waits longer after each failure, and anew where something moved before it", () => {
		const pace = new MovePace();
		const pauses = Array.from({ length: 7 }, () => {
			pace.failed(false);
			return pace.pauseMs(1) / 1_000;
		});
		expect(pauses).toEqual([1, 2, 4, 8, 16, 30, 30]);
		pace.failed(true);
		expect(pace.pauseMs(1)).toBe(limits.auditMoveRetryMs);
	});

	it("waits for more where few wait, and not where they are as many as a statement takes", () => {
		const pace = new MovePace();
		expect(pace.pauseMs(limits.auditMoveRecords - 1)).toBe(limits.auditMoveDelayMs);
		expect(pace.pauseMs(limits.auditMoveRecords)).toBe(0);
		pace.failed(false);
		pace.failed(false);
		pace.succeeded();
		expect(pace.pauseMs(limits.auditMoveRecords / 2)).toBe(0);
	});
});

describe("an alarm that was lost", () => {
	const query = { tenant: "", ...unfiltered, before: null, limit: 1 };

	/** As if all its retries had failed. */
	async function loseAlarm(): Promise<void> {
		await runInDurableObject(objectAt(place), (_, { storage }) => storage.deleteAlarm());
		await evict(place);
	}

	it.each([
		["its head", () => objectAt(place).head()],
		["a page of its records", () => objectAt(place).read({ ...query, tenant })],
	])("is set again when the object is asked for %s, and what waits there moves", async (_, ask) => {
		takePostgresAway();
		const records = newAppend(place);
		await append(records);
		await loseAlarm();
		await ask();
		globalThis.fetch = realFetch;
		await expect.poll(idsInPostgres).toEqual(idsOf(records));
	});

	it("is set again by an append that comes again, which then is in Postgres", async () => {
		takePostgresAway();
		const records = newAppend(place);
		const appendAgain = () => objectAt(place).append(joinAppends([records]), true);
		await appendAgain();
		await loseAlarm();
		expect(await appendAgain()).toBe("kept");
		globalThis.fetch = realFetch;
		await expect.poll(idsInPostgres).toEqual(idsOf(records));
	});

	it("is set again for what is only to be forgotten", async () => {
		const start = Date.now();
		await objectAt(place).append(joinAppends([newAppend(place)]), true);
		await drain(place);
		await loseAlarm();
		await objectAt(place).head();
		const { alarm } = await stateOf(place);
		expect((alarm ?? 0) - start).toBeGreaterThan(limits.auditRepeatedKeptMs - 60_000);
	}, 60_000);

	it("is set again where it is still told of, but long past", async () => {
		await filled([[newAppend(place)]]);
		const { alarm } = await stateOf(place);
		await evict(place);
		const later = Date.now() + 2 * farMs;
		Date.now = () => later;
		await objectAt(place).head();
		Date.now = realNow;
		expect((await stateOf(place)).alarm).toBe(later + limits.auditMoveDelayMs);
		expect(alarm).toBeLessThan(later);
	});

	it("is set for nothing where nothing waits", async () => {
		await objectAt(place).head();
		expect((await stateOf(place)).alarm).toBeNull();
	});
});

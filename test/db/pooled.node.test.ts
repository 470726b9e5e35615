import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { grantApplicationRights, migrate } from "../../local/migrate.ts";
import { type NeonGateway, startNeonGateway } from "../../local/neon.ts";
import { type RunningPostgres, startPostgres, workerRole } from "../../local/postgres.ts";
import { type Call, createDatabase, type Statement } from "../../src/db/client.ts";
import { connectPool, type PooledDatabase, type Transaction } from "../../src/db/pooled.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import * as limits from "../../src/limits.ts";
import type { LogEvent } from "../../src/observe/log.ts";
import { newDataDir } from "../support/node/data-dir.ts";

let dataDir: string;
let postgres: RunningPostgres;
let gateway: NeonGateway;
let owner: pg.Client;
let db: PooledDatabase;
let events: LogEvent[] = [];

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	gateway = await startNeonGateway({ databaseUrl: postgres.url });
	await migrate(postgres.url);
	await grantApplicationRights(postgres.url, workerRole);
	await connectOwner();
	await owner.query("create table notes (id text primary key)");
	await owner.query(`grant all on table notes to ${workerRole}`);
});

afterAll(async () => {
	await owner?.end();
	await gateway?.stop();
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

beforeEach(() => {
	events = [];
	db = newPool();
});
afterEach(async () => {
	db.close();
	await until(async () => (await connectionsOpen()) === 0);
});

async function connectOwner(): Promise<void> {
	owner = new pg.Client(postgres.url);
	owner.on("error", () => {}); // a server that is stopped is what some of these tests want
	await owner.connect();
}

function address() {
	return { databaseUrl: postgres.workerUrl, neonGateway: gateway.url };
}

function newPool(clock = systemClock): PooledDatabase {
	const own = events;
	const log = (event: LogEvent) => void own.push(event);
	return connectPool(address(), { clock, random: systemRandom, log });
}

/** For many at once: nobody waits too long by it, however busy the machine is. */
const slowClock = () => systemClock() / 10;

const echo: Statement = { name: "test.echo", text: "select $1::int as value" };
const pause: Statement = { name: "test.pause", text: "select pg_sleep($1::float8 / 1000)" };
const broken: Statement = { name: "test.broken", text: "select 1 / $1::int as value" };
const addNote: Statement = {
	name: "test.addNote",
	text: "insert into notes (id) values ($1)",
};

async function noteExists(id: string): Promise<boolean> {
	return (await owner.query("select from notes where id = $1", [id])).rowCount === 1;
}

const ofPools = "from pg_stat_activity where application_name = 'edgesign pool'";

async function connectionsOpen(): Promise<number> {
	const { rows } = await owner.query<{ n: number }>(`select count(*)::int as n ${ofPools}`);
	return rows[0]?.n ?? 0;
}

async function until(holds: () => Promise<boolean> | boolean, patienceMs = 20_000): Promise<void> {
	const end = performance.now() + patienceMs;
	while (!(await holds())) {
		if (performance.now() > end) throw new Error("it does not come to be");
		await sleep(20);
	}
}

describe("a pooled database", () => {
	it("answers what the HTTP form answers, of every type that the service reads", async () => {
		const text = `select 1::int as a, 2::bigint as b, 2.5::float8 as c, true as d, null as e, 'x' as f,
			array['y', null] as g, '{"z": [1]}'::jsonb as h, $1::uuid as i, $2::text[] as j`;
		const params = ["01900000-0000-7000-8000-000000000001", ["a,b", '"', null]];
		const statement = { name: "test.types", text };
		expect(await db.query(statement, params)).toEqual(
			await createDatabase(address()).query(statement, params),
		);
	});

	it("tells a refusal of Postgres from an answer that did not come, as the HTTP form does", async () => {
		const twice = [addNote, ["refused"]] as const;
		await db.query(...twice);
		await expect(db.query(...twice)).rejects.toMatchObject({
			name: "DatabaseError",
			message: "test.addNote: SQLSTATE 23505 (notes_pkey)",
		});
		const cancelled = db.query(pause, [10_000]).catch((error: Error) => error);
		const running = `${ofPools} and query like '%test.pause%' and state = 'active'`;
		await until(async () => (await owner.query(`select ${running}`)).rowCount === 1);
		await owner.query(`select pg_cancel_backend(pid) ${running}`);
		expect(await cancelled).toMatchObject({
			name: "DatabaseUnavailable",
			message: "test.pause: 57014",
		});
		expect(await db.query(echo, [1])).toEqual([{ value: 1 }]);
	});

	it("makes all of a transaction's calls or none", async () => {
		const call = (statement: Statement, param: string | number): Call => ({
			statement,
			params: [param],
		});
		expect(await db.transaction([call(addNote, "all-1"), call(echo, 7)])).toEqual([
			[],
			[{ value: 7 }],
		]);
		const failing = db.transaction([call(addNote, "all-2"), call(broken, 0)]);
		await expect(failing).rejects.toThrow("test.broken: SQLSTATE 22012");
		expect([await noteExists("all-1"), await noteExists("all-2")]).toEqual([true, false]);
	});
});

describe("an interactive transaction", () => {
	it("is committed when its work is done", async () => {
		const answer = await db.withTransaction("test", async (tx) => {
			await tx.query(addNote, ["done"]);
			const [row] = await tx.query<{ value: number }>(echo, [2]);
			return row?.value;
		});
		expect([answer, await noteExists("done")]).toEqual([2, true]);
	});

	it("is rolled back when its work throws, and its connection is used again", async () => {
		const failing = db.withTransaction("test", async (tx) => {
			await tx.query(addNote, ["thrown"]);
			throw new Error("changed my mind");
		});
		await expect(failing).rejects.toThrow("changed my mind");
		expect(await noteExists("thrown")).toBe(false);
		expect(await db.query(echo, [1])).toEqual([{ value: 1 }]);
		expect(db.figures()).toMatchObject({ opened: 1, idle: 1, inUse: 0 });
	});

	it("is no success when a statement failed and its work took no notice", async () => {
		const careless = db.withTransaction("test", async (tx) => {
			await tx.query(addNote, ["careless"]);
			await tx.query(broken, [0]).catch(() => {});
		});
		await expect(careless).rejects.toThrow("test: was rolled back");
		expect(await noteExists("careless")).toBe(false);
	});

	it("is rolled back when its time is over, and what comes later is refused", async () => {
		const { promise: goOn, resolve } = Promise.withResolvers<void>();
		let late: Promise<unknown> = Promise.resolve();
		const work = async (tx: Transaction) => {
			await tx.query(addNote, ["slow"]);
			await goOn;
			late = tx.query(addNote, ["late"]);
			await late;
		};
		const slow = db.withTransaction("test", work, 2_500);
		await expect(slow).rejects.toThrow("test: not done in 2500 ms");
		resolve();
		await sleep(0);
		await expect(late).rejects.toThrow("the transaction test is over");
		await owner.query("insert into notes (id) values ('slow')"); // waits for who holds the row
		expect(await noteExists("late")).toBe(false);
		expect(events).toMatchObject([{ event: "pool_rested", opened: 1, closed: 1, inUse: 0 }]);
	});
});

describe("many at once", () => {
	it("500 are all answered, each with its own, over 50 connections at most", async () => {
		db = newPool(slowClock);
		let most = 0;
		const counting = setInterval(() => {
			const { inUse, idle } = db.figures();
			most = Math.max(most, inUse + idle);
		}, 5);
		const asked = Array.from({ length: 500 }, (_, i) => db.query(echo, [i]));
		expect(await Promise.all(asked)).toEqual(asked.map((_, i) => [{ value: i }]));
		clearInterval(counting);
		expect(most).toBeLessThanOrEqual(limits.poolSize + limits.poolOverflow);
		expect(db.figures()).toMatchObject({ acquired: 500, timeouts: 0, waiting: 0, inUse: 0 });
		expect(db.figures().idle).toBeLessThanOrEqual(limits.poolSize);
	});

	it("leave nothing open when they are done", async () => {
		await Promise.all(Array.from({ length: 60 }, () => db.query(pause, [20])));
		expect(await connectionsOpen()).toBeGreaterThan(0);
		await until(() => events.some(({ event }) => event === "pool_rested"));
		await until(async () => (await connectionsOpen()) === 0);
		expect(events).toMatchObject([{ event: "pool_rested", acquired: 60, idle: 0, inUse: 0 }]);
	});
});

describe("when Postgres is not well", () => {
	it("waiters outlast a server that takes no connection more", async () => {
		db = newPool(slowClock);
		const { rows } = await owner.query(
			"select count(*)::int as n from pg_stat_activity where usename = $1",
			[workerRole],
		);
		await owner.query(`alter role ${workerRole} connection limit ${rows[0].n + 2}`);
		try {
			const asked = Array.from({ length: 100 }, (_, i) => db.query(echo, [i]));
			expect(await Promise.all(asked)).toEqual(asked.map((_, i) => [{ value: i }]));
			expect(db.figures().connectFailures).toBeGreaterThan(0);
			expect(db.figures().opened).toBeLessThanOrEqual(2);
		} finally {
			await owner.query(`alter role ${workerRole} connection limit -1`);
		}
	});

	it("a connection that was cut off while it was idle is not noticed by anyone", async () => {
		await Promise.all([db.query(pause, [50]), db.query(pause, [50])]);
		await owner.query(`select pg_terminate_backend(pid) ${ofPools}`);
		await until(async () => (await connectionsOpen()) === 0);
		// Until the news is here; from then on it is asked first, where the news is late.
		await sleep(limits.poolCheckAfterMs);
		expect(await db.query(echo, [3])).toEqual([{ value: 3 }]);
	});

	it("a statement that was cut off is told so, and is not sent again", async () => {
		const before = await owner.query("create sequence if not exists runs");
		expect(before.command).toBe("CREATE");
		await owner.query(`grant usage on sequence runs to ${workerRole}`);
		const counted = { name: "test.counted", text: "select nextval('runs'), pg_sleep(60)" };
		const asked = db.query(counted, []).catch((error: Error) => error);
		const query =
			"select pid from pg_stat_activity where query like '%test.counted%' and usename = $1";
		await until(async () => (await owner.query(query, [workerRole])).rowCount === 1);
		await owner.query(`select pg_terminate_backend(pid) from (${query}) as one`, [workerRole]);
		expect(await asked).toMatchObject({ name: "DatabaseUnavailable" });
		await db.query(echo, [1]);
		const { rows } = await owner.query("select last_value::int as n from runs");
		expect(rows).toEqual([{ n: 1 }]);
	});

	it("callers outlast a restart: what fails says so, and all goes on by itself", async () => {
		let goesOn = true;
		const outcomes = { right: 0, wrong: 0, unavailable: 0, other: [] as unknown[] };
		const callers = Array.from({ length: 30 }, async (_, caller) => {
			for (let n = 0; goesOn; n++) {
				const asked = caller * 1_000_000 + n;
				try {
					const [row] = await db.query<{ value: number }>(echo, [asked]);
					if (row?.value === asked) outcomes.right++;
					else outcomes.wrong++;
				} catch (error) {
					if (error instanceof Error && error.name === "DatabaseUnavailable")
						outcomes.unavailable++;
					else outcomes.other.push(error);
				}
				await sleep(1);
			}
		});
		await until(() => outcomes.right > 300);
		const port = Number(new URL(postgres.url).port);
		await postgres.stop();
		postgres = await startPostgres({ dataDir, port, durable: false });
		await connectOwner();
		const { right } = outcomes;
		await until(() => outcomes.right > right + 300);
		goesOn = false;
		await Promise.all(callers);
		expect(outcomes).toMatchObject({ wrong: 0, other: [] });
		expect(db.figures()).toMatchObject({ inUse: 0, waiting: 0 });
	});
});

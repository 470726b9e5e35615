import { rm } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grantApplicationRights, migrate } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres, workerRole } from "../../local/postgres.ts";
import { newDataDir } from "../support/node/data-dir.ts";

let dataDir: string;
let postgres: RunningPostgres;
let owner: pg.Client;
let worker: pg.Client;
/** The day (UTC) on which the schema was made: midnight may come while these tests run. */
let today: string;

const utcDay = () => new Date().toISOString().slice(0, 10);

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	const began = utcDay();
	await migrate(postgres.url);
	await grantApplicationRights(postgres.url, workerRole);
	owner = new pg.Client(postgres.url);
	worker = new pg.Client(postgres.workerUrl);
	await Promise.all([owner.connect(), worker.connect()]);
	today = began;
	if ((await days())[0] === 0) today = utcDay(); // it came while the schema was made
});

afterAll(async () => {
	await worker?.end();
	await owner?.end();
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

/** Where the partitions begin, in days from today. */
async function days(): Promise<number[]> {
	const { rows } = await owner.query<{ day: number }>(
		`select to_date(right(relname, 8), 'YYYYMMDD') - $1::date as day
		from pg_inherits join pg_class on oid = inhrelid
		where inhparent = 'audit_events'::regclass and relname <> 'audit_events_default' order by 1`,
		[today],
	);
	return rows.map(({ day }) => day);
}

async function ensure(ahead: number, client = worker): Promise<number> {
	const sinceToday = "(now() at time zone 'utc')::date - $2::date";
	const { rows } = await client.query(
		`select audit_ensure_partitions($1 - (${sinceToday})) as made`,
		[ahead, today],
	);
	return rows[0].made;
}

/** A record `day` days from today. */
function insert(client: pg.Client, day: number) {
	return client.query(
		`insert into audit_events (tenant_id, at, id, request_id, action, target_name, version,
			algorithm, address, cost, outcome, chain, sequence, link)
		values ('main', $2::timestamptz + make_interval(days => $1), gen_random_uuid(), gen_random_uuid(), 'sign',
			'', 0, '', '', 0, 'ok', gen_random_uuid(), 1, sha256('link'))`,
		[day, today],
	);
}

async function countOf(table: string): Promise<number> {
	const { rows } = await owner.query(`select count(*)::int as n from ${table}`);
	return rows[0].n;
}

describe("partitions of the audit log", () => {
	it("are there from yesterday to a week ahead when the schema is made", async () => {
		expect(await days()).toEqual([-1, 0, 1, 2, 3, 4, 5, 6, 7]);
	});

	it("are made once, also when two ask at the same time", async () => {
		expect(await ensure(7)).toBe(0);
		const other = new pg.Client(postgres.workerUrl);
		await other.connect();
		const made = await Promise.all([ensure(9), ensure(9, other)]);
		await other.end();
		expect(made.sort()).toEqual([0, 2]);
		expect((await days()).at(-1)).toBe(9);
	});

	it("take over the rows that waited for them, and leave the others", async () => {
		for (const day of [10, 10, 11, 40]) await insert(worker, day);
		expect(await countOf("audit_events_default")).toBe(4);
		expect(await ensure(11)).toBe(2);
		expect(await countOf("audit_events_default")).toBe(1);
		expect(await countOf("audit_events")).toBe(4);
		await insert(worker, 11);
		expect(await countOf("audit_events_default")).toBe(1);
	});

	it("lose no row that comes while they are made", async () => {
		const before = await countOf("audit_events");
		let goesOn = true;
		let inserted = 0;
		const client = new pg.Client(postgres.workerUrl);
		await client.connect();
		const inserting = (async () => {
			while (goesOn) {
				// Refused where the partition came in between: the move of records is tried again.
				await insert(client, 12 + (inserted % 10)).then(
					() => inserted++,
					() => {},
				);
			}
		})();
		for (let ahead = 12; ahead <= 21; ahead++) await ensure(ahead);
		goesOn = false;
		await inserting;
		await client.end();
		expect(inserted).toBeGreaterThan(0);
		expect(await countOf("audit_events")).toBe(before + inserted);
	});

	it("are not looked at where the time rules them out", async () => {
		const { rows } = await owner.query(
			`explain select * from audit_events where tenant_id = 'main'
			and at >= date_trunc('day', now(), 'utc') + interval '1 hour'
			and at < date_trunc('day', now(), 'utc') + interval '2 hours'`,
		);
		const plan = JSON.stringify(rows);
		expect(plan).toMatch(/Subplans Removed: \d\d/);
	});

	it.each([[-1], [32], [null]])("are not made for %s days ahead", async (ahead) => {
		const refused = worker.query("select audit_ensure_partitions($1)", [ahead]);
		await expect(refused).rejects.toThrow("days_ahead must be 0 to 31");
	});
});

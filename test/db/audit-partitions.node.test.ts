import { rm } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grantApplicationRights, migrate } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres, workerRole } from "../../local/postgres.ts";
import { statements } from "../../src/db/audit-archives.ts";
import { ensurePartitions } from "../../src/db/audit-events.ts";
import type { Database } from "../../src/db/client.ts";
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
	// It would come at any moment, or not, and be waited for.
	await owner.query("alter system set autovacuum = off");
	await owner.query("select pg_reload_conf()");
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

/** One call: how many partitions it made, null where there is more to do. */
async function ensure(ahead: number, client = worker): Promise<number | null> {
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

/** A row is refused where its partition comes between its plan and its place: the move of records is tried again. */
function unlessMade(error: unknown): void {
	if (!(error instanceof pg.DatabaseError) || error.code !== "23514") throw error;
}

/** How long partitions wait for a lock. */
async function patience(
	time: string,
	of = "audit_ensure_partitions(integer, integer)",
): Promise<void> {
	await owner.query(`alter function ${of} set lock_timeout = '${time}'`);
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
				await insert(client, 12 + (inserted % 10)).then(() => inserted++, unlessMade);
			}
		})();
		try {
			for (let ahead = 12; ahead <= 21; ahead++) {
				while ((await ensure(ahead)) === null) {} // a row came for the day just then
			}
		} finally {
			goesOn = false;
			await inserting;
		}
		await client.end();
		expect(inserted).toBeGreaterThan(0);
		expect(await countOf("audit_events")).toBe(before + inserted);
	});

	it("are made while rows come for their day, and nobody waits for the other", async () => {
		const clients = Array.from({ length: 3 }, () => new pg.Client(postgres.workerUrl));
		const [first, second, caller] = clients as [pg.Client, pg.Client, pg.Client];
		try {
			await Promise.all(clients.map((client) => client.connect()));
			await patience("60s"); // on a busy machine the looks below may take longer than it waits
			await first.query("begin");
			await insert(first, 22);
			const making = ensure(22, caller); // waits for the first
			await expect.poll(waits).toBe(1);
			const adding = insert(second, 22); // has begun with the log, and waits for the caller
			await expect.poll(waits).toBe(2);
			await first.query("commit");
			const [made] = await Promise.all([making, adding]);
			expect(made).toBeNull();
		} finally {
			await Promise.all(clients.map((client) => client.end()));
			await patience("1500ms");
		}
		expect(await ensure(22)).toBe(1);
		expect(await seen(22)).toEqual(once(2));
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

/** In days from today: far from those that the tests before have. */
const aheadOfWaiting = 22;

/** Records of one day that are different from each other, of three tenants; how many were added. */
async function fill(day: number, count: number, client = worker): Promise<number> {
	const { rowCount } = await client.query(
		`insert into audit_events (tenant_id, at, id, request_id, action, target_name, version,
			algorithm, address, cost, outcome, chain, sequence, link)
		select 'tenant-' || n % 3, $2::timestamptz + make_interval(days => $1, secs => n % 86400), gen_random_uuid(),
			gen_random_uuid(), 'sign', '', 0, '', '', 0, 'ok', gen_random_uuid(), n, sha256('link')
		from generate_series(1, $3::int) n order by hashint4(n)`,
		[day, today, count],
	);
	return rowCount ?? 0;
}

/** How many records of the day a reader of the log sees, and how many different ones. */
async function seen(day: number, client = worker): Promise<{ rows: number; different: number }> {
	const { rows } = await client.query(
		`select count(*)::int as rows, count(distinct (tenant_id, at, id))::int as different from audit_events
		where at >= $2::timestamptz + make_interval(days => $1) and at < $2::timestamptz + make_interval(days => $1 + 1)`,
		[day, today],
	);
	return rows[0];
}

const once = (count: number) => ({ rows: count, different: count });

/** One call with a small slice: how many partitions it made, null where there is more to do. */
async function step(
	slice: number,
	client = worker,
	ahead = aheadOfWaiting,
): Promise<number | null> {
	const { rows } = await client.query(
		"select audit_ensure_partitions($1 - ((now() at time zone 'utc')::date - $2::date), $3) as made",
		[ahead, today, slice],
	);
	return rows[0].made;
}

/** Calls until nothing is left to do; how many partitions there are more. */
async function ensureAll(slice: number): Promise<number> {
	let made = 0;
	for (let call = 0; call < 200; call++) {
		const more = await step(slice);
		if (more === 0) return made;
		made += more ?? 0;
	}
	throw new Error("there is always something left to do");
}

/** Takes the day's partition away, with what it has. */
async function drop(day: number): Promise<void> {
	const { rows } = await owner.query(
		"select 'audit_events_' || to_char($1::date + $2::int, 'YYYYMMDD') as name",
		[today, day],
	);
	await owner.query(`drop table ${rows[0].name}`);
}

/** How many sessions wait for a lock. */
async function waits(): Promise<number> {
	const { rows } = await owner.query(
		"select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'",
	);
	return rows[0].n;
}

/** On a busy machine the log can not always be had for oneself within a second: the next call tries again. */
function unlessLocked(error: unknown): null {
	if (error instanceof pg.DatabaseError && error.code === "55P03") return null;
	throw error;
}

describe("records that wait for the partition of their day", () => {
	it("come to it over several calls, and are seen once at every step", async () => {
		let count = await fill(-40, 2_500);
		const steps: (number | null)[] = [];
		while (steps.at(-1) !== 0) {
			steps.push(await step(1_000));
			expect(await seen(-40), `after ${steps}`).toEqual(once(count));
			if (steps.at(-1) !== null) continue;
			// Before what is copied and behind it, and some that are there already.
			count += await fill(-40, 30);
			const again = await worker.query(
				`insert into audit_events select * from audit_events where tenant_id = 'tenant-1' and at < $1
				on conflict do nothing`,
				[today],
			);
			expect(again.rowCount).toBe(0);
			expect(await seen(-40)).toEqual(once(count));
			expect(await days()).not.toContain(-40);
		}
		expect(steps).toEqual([null, null, null, 1, 0]);
		expect(await days()).toContain(-40);
		await fill(-40, 7);
		expect(await seen(-40)).toEqual(once(count + 7));
		expect(await countOf("only audit_events_default")).toBe(1); // of day 40, from before
	});

	it("keep no day that nobody waits for from being made", async () => {
		await fill(-41, 1_200);
		const ahead = aheadOfWaiting + 1;
		expect(await step(500, worker, ahead)).toBe(1);
		expect((await days()).at(-1)).toBe(ahead);
		expect(await step(500, worker, ahead)).toBe(null);
		expect(await step(500, worker, ahead + 1)).toBe(1);
		expect((await days()).at(-1)).toBe(ahead + 1);
		expect(await days()).not.toContain(-41);
		expect(await ensureAll(500)).toBe(1);
		expect(await seen(-41)).toEqual(once(1_200));
	});

	it("bring the missing days with them where it would take long to look through all that is there", async () => {
		const archived = "insert into audit_archive_days values ($1::date - 42, now(), now())";
		await owner.query(archived, [today]);
		// A page for each record: 128 MiB and more.
		await owner.query("alter table audit_events_default set (fillfactor = 10)");
		const wide = `insert into audit_events (tenant_id, at, id, request_id, action, target_name, version,
				algorithm, address, cost, outcome, chain, sequence, link)
			select 'wide', $1::timestamptz - interval '42 days', gen_random_uuid(), gen_random_uuid(), 'sign', '', 0, '',
				repeat('x', 800), 0, 'ok', gen_random_uuid(), n, sha256('link') from generate_series(1, 16500) n`;
		await owner.query(wide, [today]);
		for (const day of [-1, 5, 6]) await drop(day);
		expect(await step(5_000)).toBe(null);
		expect(await days()).not.toContain(5);
		expect(await ensureAll(5_000)).toBe(3);
		expect(await days()).toEqual(expect.arrayContaining([-1, 5, 6]));
		expect(await days()).not.toContain(-42);
		expect(await seen(-42)).toEqual(once(16_500));
		await owner.query("delete from audit_archive_days");
		expect(await ensureAll(5_000)).toBe(1);
		expect(await days()).toContain(-42);
		expect(await seen(-42)).toEqual(once(16_500));
	});

	it("come to days however old, but not to one that was archived, or to none", async () => {
		const archived = "insert into audit_archive_days values ($1::date - 55, now(), now())";
		await owner.query(archived, [today]);
		for (const day of [-50, -55, -9_000]) await fill(day, 3);
		for (const at of ["-infinity", "1960-01-01", "infinity"]) {
			await worker.query(
				`insert into audit_events select tenant_id, $1, gen_random_uuid(), request_id, token_id, action, target_id,
					target_name, version, algorithm, address, input_kind, input, signature, cost, outcome, chain,
					sequence, link from audit_events limit 1`,
				[at],
			);
		}
		const before = await countOf("audit_events");
		expect(await ensureAll(1_000)).toBe(2);
		expect(await days()).toEqual(expect.arrayContaining([-9_000, -50]));
		expect(await days()).not.toContain(-55);
		for (const day of [-50, -55, -9_000]) expect(await seen(day)).toEqual(once(3));
		expect(await countOf("audit_events")).toBe(before);
		expect(await countOf("only audit_events_default")).toBe(3 + 3 + 1);
		expect(await ensureAll(1_000)).toBe(0);
	});

	it("are archived as any others, and their day is not made again for what comes later", async () => {
		const day = (await owner.query("select ($1::date - 50)::text as day", [today])).rows[0].day;
		const call = async (name: string) =>
			(await worker.query(`select ${name}($1) as done`, [day])).rows[0].done;
		expect(await call("audit_close_partition")).toBe(true);
		await worker.query(
			`insert into audit_archives (tenant_id, day, state)
			select distinct tenant_id, $1::date, 'archived' from audit_events`,
			[day],
		);
		expect(await call("audit_drop_partition")).toBe(true);
		expect(await seen(-50)).toEqual(once(0));
		await fill(-50, 2);
		expect(await ensureAll(1_000)).toBe(0);
		expect(await seen(-50)).toEqual(once(2));
	});

	it("are not dropped with a day that nobody has closed, though nothing is left to archive of it", async () => {
		const day = (await owner.query("select ($1::date - 61)::text as day", [today])).rows[0].day;
		const table = `audit_events_${day.replaceAll("-", "")}`;
		await owner.query(
			`create table ${table} partition of audit_events
			for values from ('${day}Z') to ('${day}Z'::timestamptz + interval '1 day')`,
		);
		const drop = () => worker.query("select audit_drop_partition($1) as done", [day]);
		await expect(drop()).rejects.toThrow("the day is not closed");
		await worker.query("select audit_close_partition($1)", [day]);
		expect((await drop()).rows).toEqual([{ done: true }]);
		await owner.query("delete from audit_archive_days where day = $1", [day]);
	});

	it("wait for no day that was dropped when the clock had run ahead, and are kept", async () => {
		const [{ day, table }] = (
			await owner.query(
				"select day::text, 'audit_events_' || to_char(day, 'YYYYMMDD') as table from (select $1::date + 3 as day) d",
				[today],
			)
		).rows;
		await owner.query(`drop table ${table}`);
		await owner.query("insert into audit_archive_days (day, dropped_at) values ($1, now())", [day]);
		expect(await ensureAll(1_000)).toBe(0);
		await fill(3, 2);
		expect(await ensureAll(1_000)).toBe(0);
		expect(await days()).not.toContain(3);
		expect(await seen(3)).toEqual(once(2));
		await owner.query("delete from audit_archive_days where day = $1", [day]);
		expect(await ensureAll(1_000)).toBe(1);
	});

	it("that were made anew of a dropped day are neither archived nor dropped", async () => {
		const [{ day, before }] = (
			await owner.query("select ($1::date - 60)::text as day, ($1::date - 61)::text as before", [
				today,
			])
		).rows;
		const next = async () =>
			(await worker.query(statements.oldest.text, [today, before])).rows[0]?.day;
		await owner.query(
			`create table audit_events_anew partition of audit_events
			for values from ('${day}Z') to ('${day}Z'::timestamptz + interval '1 day')`,
		);
		const table = `audit_events_${day.replaceAll("-", "")}`;
		await owner.query(`alter table audit_events_anew rename to ${table}`);
		expect(await next()).toBe(day);
		await owner.query("insert into audit_archive_days (day, dropped_at) values ($1, now())", [day]);
		expect(await next()).not.toBe(day);
		for (const name of ["audit_close_partition", "audit_drop_partition"]) {
			await expect(worker.query(`select ${name}($1)`, [day])).rejects.toThrow("dropped before");
		}
		await owner.query(`drop table ${table}`);
		await owner.query("delete from audit_archive_days where day = $1", [day]);
	});

	it("come to so many days at once at the most, and to the others next", async () => {
		for (let day = -135; day < -100; day++) await fill(day, 2);
		expect(await step(1_000)).toBe(31);
		expect(await step(1_000)).toBe(4);
		expect(await step(1_000)).toBe(0);
		expect(await days()).toEqual(expect.arrayContaining([-135, -101]));
	});

	it("are seen once by whoever reads and adds while two at once copy them", async () => {
		let count = await fill(-60, 4_000);
		const clients = Array.from({ length: 4 }, () => new pg.Client(postgres.workerUrl));
		await Promise.all(clients.map((client) => client.connect()));
		const [reader, adder, ...callers] = clients as [pg.Client, pg.Client, ...pg.Client[]];
		let goesOn = true;
		let reads = 0;
		const reading = (async () => {
			for (let least = 0; goesOn; reads++) {
				const { rows, different } = await seen(-60, reader);
				expect(rows).toBe(different);
				expect(rows).toBeGreaterThanOrEqual(Math.max(least, 4_000));
				least = rows;
			}
		})();
		const adding = (async () => {
			while (goesOn) {
				const added = await fill(-60, 10, adder);
				count += added;
			}
		})();
		let made = 0;
		const calling = callers.map(async (client) => {
			while (made === 0) {
				const before = reads;
				const more = await step(300, client).catch(unlessLocked);
				made += more ?? 0;
				if (made === 0) await expect.poll(() => reads).toBeGreaterThan(before); // one for each slice
			}
		});
		try {
			await Promise.all(calling);
		} finally {
			goesOn = false;
			await Promise.all([reading, adding]);
		}
		await Promise.all(clients.map((client) => client.end()));
		expect(made).toBe(1);
		expect(reads).toBeGreaterThan(5); // two slices at the most before each, of fourteen
		expect(await seen(-60)).toEqual(once(count));
		expect(await days()).toContain(-60);
	});

	it("hold up nobody who reads or adds while an upkeep of the table is waited for", async () => {
		await fill(-65, 10);
		const others = [new pg.Client(postgres.url), new pg.Client(postgres.workerUrl)];
		await Promise.all(others.map((client) => client.connect()));
		const [keeper, caller] = others as [pg.Client, pg.Client];
		await keeper.query("begin");
		await keeper.query("lock table audit_events_default in share update exclusive mode"); // as vacuum does
		let isOver = false;
		const refused = expect(step(100, caller).finally(() => (isOver = true))).rejects.toThrow(
			"lock timeout",
		);
		await expect.poll(waits).toBe(1);
		await fill(-65, 10);
		expect(await seen(-65)).toEqual(once(20));
		expect(isOver).toBe(false);
		await refused;
		await keeper.query("rollback");
		expect(await step(100, caller)).toBe(1);
		expect(await seen(-65)).toEqual(once(20));
		await Promise.all(others.map((client) => client.end()));
	});

	it("leave a default partition as it was before, and nothing beside it", async () => {
		const { rows } = await owner.query(
			`select indexname as name from pg_indexes where tablename = 'audit_events_default'
			union all select conname from pg_constraint where conrelid = 'audit_events_default'::regclass and contype <> 'n'
			union all select tgname from pg_trigger where tgrelid = 'audit_events_default'::regclass
			union all select relname from pg_class where relname like 'audit_moving%' order by 1`,
		);
		expect(rows.map(({ name }) => name)).toEqual([
			"audit_events_default_by_at",
			"audit_events_default_pkey",
			"audit_events_default_pkey",
			"audit_events_default_tenant_id_target_id_at_id_idx",
			"audit_events_input_check",
			"audit_events_link_check",
			"audit_events_signature_check",
		]);
		expect(await countOf("audit_moves")).toBe(0);
	});

	it("are brought on by one run after the other", async () => {
		const db = {
			query: async ({ text }, params) => (await worker.query(text, [...params])).rows,
		} as Pick<Database, "query"> as Database;
		const ahead = async () => {
			const { rows } = await owner.query(
				"select (now() at time zone 'utc')::date - $1::date as n",
				[today],
			);
			return aheadOfWaiting - rows[0].n;
		};
		await fill(-70, 250);
		const run = async () => ensurePartitions(db, await ahead(), { sliceRecords: 100, calls: 3 });
		expect([await run(), await run(), await run()]).toEqual([0, 1, 0]);
		expect(await seen(-70)).toEqual(once(250));
	});

	it("are not lost when the schema goes back while somebody begins to copy them", async () => {
		await fill(-81, 300);
		await worker.query("begin");
		expect(await step(100)).toBe(null);
		const going = migrate(postgres.url, 9, { dropRows: true });
		await expect.poll(waits).toBe(1);
		await worker.query("commit");
		await going;
		const { rows } = await owner.query(
			"select 1 from pg_trigger where tgrelid = 'audit_events_default'::regclass",
		);
		expect(rows).toEqual([]);
		await migrate(postgres.url);
		expect(await ensureAll(100)).toBe(1);
		expect(await seen(-81)).toEqual(once(300));
	});

	it("are not lost when the schema goes back while they are copied", async () => {
		await fill(-80, 300);
		expect([await step(100), await step(100)]).toEqual([null, null]);
		await fill(-80, 10);
		await migrate(postgres.url, 9, { dropRows: true });
		expect(await seen(-80)).toEqual(once(310));
		await migrate(postgres.url);
		expect(await seen(-80)).toEqual(once(310));
		expect(await ensureAll(100)).toBe(1);
		expect(await seen(-80)).toEqual(once(310));
	});

	it.each([[0], [100_001], [null]])("are not copied by slices of %s", async (slice) => {
		await expect(step(slice as number)).rejects.toThrow("slice must be 1 to 100000");
	});

	it.each(["repeatable read", "serializable"])(
		"are not copied by who sees no new ones: %s",
		async (level) => {
			await worker.query(`begin isolation level ${level}`);
			await expect(step(100)).rejects.toThrow("the isolation level must be read committed");
			await worker.query("rollback");
		},
	);
});

describe("a day that is dropped", () => {
	/** Of so many days ago, with a record in R2 by its state, and the note of that record; its table. */
	async function archivedDay(day: number): Promise<{ date: string; table: string }> {
		const { rows } = await owner.query("select ($1::date + $2::int)::text as date", [today, day]);
		const { date } = rows[0];
		const table = `audit_events_${date.replaceAll("-", "")}`;
		await owner.query(
			`create table ${table} partition of audit_events
			for values from ('${date}Z') to ('${date}Z'::timestamptz + interval '1 day')`,
		);
		await insert(worker, day);
		await owner.query(
			`insert into audit_outbox (tenant_id, id, at, place, request_id, token_id, action, address, cost)
			select tenant_id, id, at, '', request_id, gen_random_uuid(), action, '', 0 from ${table}`,
		);
		await worker.query("select audit_close_partition($1)", [date]);
		await worker.query(
			"insert into audit_archives (tenant_id, day, state) values ('main', $1, 'archived')",
			[date],
		);
		return { date, table };
	}

	const drop = async (client: pg.Client, date: string): Promise<boolean> =>
		(await client.query("select audit_drop_partition($1) as done", [date])).rows[0].done;

	/** Runs it with connections of its own. */
	async function withClients(
		run: (keeper: pg.Client, caller: pg.Client) => Promise<void>,
	): Promise<void> {
		const clients = [new pg.Client(postgres.url), new pg.Client(postgres.workerUrl)] as const;
		await patience("60s", "audit_drop_partition(date)"); // on a busy machine a look takes long
		try {
			await Promise.all(clients.map((client) => client.connect()));
			await run(...clients);
		} finally {
			await Promise.all(clients.map((client) => client.end()));
			await patience("1500ms", "audit_drop_partition(date)");
		}
	}

	it("is dropped while others are to be made, and neither is waited for by the other", async () => {
		const { date } = await archivedDay(-90);
		await withClients(async (keeper, caller) => {
			await keeper.query("begin");
			await keeper.query("select 1 from audit_outbox for update");
			const dropping = drop(worker, date);
			await expect.poll(waits).toBe(1);
			expect(await ensure(25, caller)).toBe(0); // the next minute makes it
			const second = drop(caller, date);
			await expect.poll(waits).toBe(2);
			await keeper.query("commit");
			expect(await Promise.all([dropping, second])).toEqual([true, false]);
		});
		expect(await seen(-90)).toEqual(once(0));
		expect(await countOf("audit_outbox")).toBe(0);
	});

	it("holds up nobody who reads or adds while an upkeep of it is waited for", async () => {
		const { date, table } = await archivedDay(-91);
		await withClients(async (keeper, caller) => {
			await keeper.query("begin");
			await keeper.query(`lock table ${table} in share update exclusive mode`); // as vacuum does
			const dropping = drop(caller, date);
			await expect.poll(waits).toBe(1);
			await insert(worker, 0);
			expect(await seen(-91)).toEqual(once(1));
			await keeper.query("rollback");
			expect(await dropping).toBe(true);
		});
		expect(await seen(-91)).toEqual(once(0));
	});
});

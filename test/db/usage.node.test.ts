import { rm } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { migrate } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres } from "../../local/postgres.ts";
import { newDataDir } from "../support/node/data-dir.ts";

let dataDir: string;
let postgres: RunningPostgres;
let owner: pg.Client;
/** Of all records, in UTC: midnight may come while these tests run. */
const today = `'${new Date().toISOString().slice(0, 10)}'::date`;

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	await migrate(postgres.url, 7);
	owner = new pg.Client(postgres.url);
	await owner.connect();
});

afterAll(async () => {
	await owner?.end();
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

/** Records of tenants, targets and days, in an order of its own for each chain. */
function insertion(chain: number, count: number): string {
	const uuid = (n: string) => `lpad(to_hex(${n}), 32, '0')::uuid`;
	return `insert into audit_events (tenant_id, at, id, request_id, action, target_id, target_name, version,
			algorithm, address, cost, outcome, chain, sequence, link)
		select 'tenant-' || n % 3, ${today} - n % 4 * interval '1 day', ${uuid(`${chain} * 1000000 + n`)}, ${uuid("n")},
			(array['sign', 'verify', 'rotateKey'])[1 + n % 3], case when n % 7 > 0 then ${uuid("n % 5")} end, 'k', 1,
			'', '', n % 11, (array['ok', 'invalid', 'key_disabled'])[1 + n % 2 * (n % 3)], ${uuid(`${chain}`)}, n, sha256('')
		from generate_series(1, ${count}) n order by hashint4(n + ${chain}) on conflict do nothing`;
}

/** Days and targets whose counts are not those of the records; and how many there are. */
async function differences(): Promise<{ wrong: number; rows: number }> {
	const { rows } = await owner.query(`
		with records as (
			select *, (at at time zone 'utc')::date as day, coalesce(target_id, '${"0".repeat(32)}') as target
			from audit_events
		), counted as (
			select tenant_id, day, target, count(*) as n, sum(cost) as cost from records group by 1, 2, 3
			union all select tenant_id, day, '${"f".repeat(32)}', count(*), sum(cost) from records group by 1, 2
		)
		select count(*)::int as rows, (count(*) filter (where c.n is distinct from u.signatures + u.invalid
			+ u.refused + u.changes or c.cost is distinct from u.cost))::int as wrong
		from counted c full join usage_daily u
			on u.tenant_id = c.tenant_id and u.day = c.day and u.target_id = c.target`);
	return rows[0];
}

it("records that were there before are counted when counting begins", async () => {
	await owner.query(insertion(1, 2_000));
	await migrate(postgres.url);
	const { wrong, rows } = await differences();
	expect(wrong).toBe(0);
	expect(rows).toBeGreaterThan(50);
});

it("moves of many at the same time neither wait in a ring nor lose a count", async () => {
	const clients = Array.from({ length: 6 }, () => new pg.Client(postgres.url));
	await Promise.all(clients.map((client) => client.connect()));
	for (let round = 0; round < 3; round++) {
		// Each chain twice at the same time: one of the two is told that the records are there.
		await Promise.all(
			clients.map((client, n) => client.query(insertion(2 + 3 * round + (n % 3), 1_500))),
		);
	}
	await Promise.all(clients.map((client) => client.end()));
	expect((await owner.query("select count(*)::int as n from audit_events")).rows[0].n).toBe(
		2_000 + 9 * 1_500,
	);
	expect(await differences()).toMatchObject({ wrong: 0 });
});

it("a record that waits for its day's partition is not counted again when it moves there", async () => {
	await owner.query(
		`do $$ begin execute format('drop table audit_events_%s', to_char(${today}, 'YYYYMMDD')); end $$`,
	);
	await owner.query(`delete from usage_daily where day = ${today}`);
	await owner.query(insertion(20, 1_000));
	expect(await differences()).toMatchObject({ wrong: 0 });
	const ahead = `${today} + 7 - (now() at time zone 'utc')::date`;
	const made = await owner.query(`select audit_ensure_partitions(${ahead}, 100000) as made`);
	expect(made.rows).toEqual([{ made: 3 }]); // with the two days before yesterday
	expect(await differences()).toMatchObject({ wrong: 0 });
});

it("a move that is rolled back counts nothing", async () => {
	await owner.query("begin");
	await owner.query(insertion(30, 100));
	await owner.query("rollback");
	expect(await differences()).toMatchObject({ wrong: 0 });
});

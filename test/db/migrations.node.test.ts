import { rm } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grantApplicationRights, migrate, schemaVersion } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres, workerRole } from "../../local/postgres.ts";
import { newDataDir } from "../support/node/data-dir.ts";

let dataDir: string;
let postgres: RunningPostgres;
let owner: pg.Client;
let worker: pg.Client;

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	owner = new pg.Client(postgres.url);
	await owner.connect();
});

afterAll(async () => {
	await worker?.end();
	await owner?.end();
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

/** All that the catalogs know of the schema: what pg_dump would write, as rows that can be compared. */
const catalog = {
	relations: `select relname, relkind::text, relacl::text, reloptions, relrowsecurity, relpersistence::text
		from pg_class where relnamespace = 'public'::regnamespace order by 1, 2`,
	columns: `select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
			pg_get_expr(d.adbin, d.adrelid) as value, a.attidentity::text, a.attacl::text
		from pg_attribute a join pg_class c on c.oid = a.attrelid
		left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
		where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
		order by 1, a.attnum`,
	constraints: `select conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid)
		from pg_constraint where connamespace = 'public'::regnamespace order by 1, 2`,
	indexes: `select tablename, indexname, indexdef from pg_indexes where schemaname = 'public' order by 1, 2`,
	routines: `select proname, pg_get_functiondef(oid) from pg_proc
		where pronamespace = 'public'::regnamespace and prokind in ('f', 'p') and proname not like 'pg_stat%'
		order by 1, 2`,
	triggers: `select tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) from pg_trigger
		where not tgisinternal order by 1, 2`,
	types: `select typname from pg_type where typnamespace = 'public'::regnamespace order by 1`,
	rights: `select nspname, nspacl::text from pg_namespace where nspname = 'public'`,
	defaults: `select defaclobjtype::text, defaclacl::text from pg_default_acl`,
} as const;

async function readCatalog(): Promise<Record<string, unknown[]>> {
	const found: Record<string, unknown[]> = {};
	for (const [name, text] of Object.entries(catalog)) found[name] = (await owner.query(text)).rows;
	return found;
}

async function tablesOf(): Promise<string[]> {
	const { rows } = await owner.query("select tablename from pg_tables where schemaname = 'public'");
	return rows.map(({ tablename }) => tablename).sort();
}

describe("the migrations", () => {
	let first: Record<string, unknown[]>;
	let newest: number;

	it("make the whole schema on an empty database", async () => {
		expect(await schemaVersion(postgres.url)).toBe(0);
		const applied = await migrate(postgres.url);
		newest = applied.length;
		expect(applied.map(({ version, action }) => [version, action])).toEqual(
			Array.from({ length: newest }, (_, i) => [i + 1, "do"]),
		);
		expect(newest).toBeGreaterThan(0);
		expect(await schemaVersion(postgres.url)).toBe(newest);
		first = await readCatalog();
		for (const table of [
			"tenants",
			"tokens",
			"keys",
			"key_versions",
			"spare_keys",
			"config_versions",
			"effects",
			"audit_events",
			"audit_chains",
			"audit_outbox",
			"audit_archive_days",
			"audit_archives",
			"audit_archive_files",
			"audit_late",
			"audit_moves",
			"benchmark_turns",
			"benchmark_runs",
			"alerts",
			"usage_daily",
		]) {
			expect(await tablesOf()).toContain(table);
		}
	});

	it("have each function that runs with its owner's rights find its tables where they say", async () => {
		const { rows } = await owner.query(
			`select proname, proconfig from pg_proc
			where pronamespace = 'public'::regnamespace and prosecdef order by 1`,
		);
		expect(rows.length).toBeGreaterThan(0);
		// Else whoever calls it puts tables of their own before ours.
		for (const { proname, proconfig } of rows) {
			expect(proconfig, proname).toContain("search_path=public, pg_temp");
		}
	});

	it("do nothing a second time", async () => {
		expect(await migrate(postgres.url)).toEqual([]);
		expect(await readCatalog()).toEqual(first);
	});

	it("run once when two start at the same time", async () => {
		await migrate(postgres.url, 0, { dropRows: true });
		const applied = await Promise.all([migrate(postgres.url), migrate(postgres.url)]);
		expect(applied.map(({ length }) => length).sort()).toEqual([0, newest]);
		expect(await readCatalog()).toEqual(first);
	});

	it("leave nothing of the schema when they are undone, with rows in every table", async () => {
		await fillEveryTable();
		const undone = await migrate(postgres.url, 0, { dropRows: true });
		expect(undone.map(({ version, action }) => [version, action])).toEqual(
			Array.from({ length: newest }, (_, i) => [newest - i, "undo"]),
		);
		expect(await tablesOf()).toEqual(["schema_migrations"]);
		const left = await readCatalog();
		expect(left.indexes).toEqual([expect.objectContaining({ tablename: "schema_migrations" })]);
		expect(left.routines).toEqual([]);
		expect(JSON.stringify(left.rights)).not.toContain("edgesign_app");
	});

	it("make the same schema again, to the last right", async () => {
		await migrate(postgres.url);
		expect(await readCatalog()).toEqual(first);
	});

	it("go back and forth one by one, and come to the same", async () => {
		for (let version = newest; version > 0; version--) {
			await migrate(postgres.url, version - 1, { dropRows: true });
			expect(await schemaVersion(postgres.url)).toBe(version - 1);
			await migrate(postgres.url, version);
		}
		await migrate(postgres.url);
		expect(await readCatalog()).toEqual(first);
	});

	it("leave all as it was when one of them fails half way", async () => {
		await migrate(postgres.url, 0, { dropRows: true });
		await owner.query("create table spare_keys (in_the_way boolean)");
		await expect(migrate(postgres.url)).rejects.toThrow(/migration failed.*spare_keys/);
		expect(await tablesOf()).toEqual(["schema_migrations", "spare_keys"]);
		await owner.query("drop table spare_keys");
		await migrate(postgres.url);
		expect(await readCatalog()).toEqual(first);
	});
});

const id = "01900000-0000-7000-8000-000000000001";

async function fillEveryTable(): Promise<void> {
	await owner.query("insert into tenants (id) values ('main')");
	await owner.query(
		`insert into tokens (tenant_id, id, name, role, secret_hash)
		values ('main', $1, 'admin', 'admin', sha256('token'))`,
		[id],
	);
	await owner.query(
		`insert into keys (tenant_id, id, name, algorithm, has_private, created_by)
		values ('main', $1, 'payments', 'Ed25519', true, $1)`,
		[id],
	);
	await owner.query(
		`insert into key_versions (tenant_id, key_id, version, public_jwk, kek_id, sealed)
		values ('main', $1, 1, '{}', 'kek', 'sealed')`,
		[id],
	);
	await owner.query(
		"insert into spare_keys (modulus_length, id, public_jwk, kek_id, sealed) values (2048, $1, '{}', 'kek', '')",
		[id],
	);
	await owner.query(
		"insert into config_versions (tenant_id, version, config, created_by) values ('main', 1, '{}', $1)",
		[id],
	);
	await owner.query(
		"insert into effects (tenant_id, id, attempt, resource) values ('main', $1, 1, 'payments')",
		[id],
	);
	for (const at of ["now()", "'2000-01-01'"]) {
		await owner.query(
			`insert into audit_events (tenant_id, at, id, request_id, action, target_name, version,
				algorithm, address, cost, outcome, chain, sequence, link)
			values ('main', ${at}, $1, $1, 'sign', '', 0, '', '', 0, 'ok', $1, 1, sha256('link'))
			on conflict do nothing`,
			[id],
		);
	}
	await owner.query(
		`insert into audit_chains (tenant_id, id, region, shard) values ('main', $1, 'weur', 0)
		on conflict do nothing`,
		[id],
	);
	await owner.query(
		`insert into audit_outbox (tenant_id, id, at, place, request_id, token_id, action, address, cost)
		values ('main', $1, now(), 'main/weur/0', $1, $1, 'createKey', '', 0) on conflict do nothing`,
		[id],
	);
	await owner.query("insert into audit_archive_days values ('2000-01-01') on conflict do nothing");
	for (const table of ["audit_archives", "audit_late"]) {
		await owner.query(
			`insert into ${table} (tenant_id, day) values ('main', '2000-01-01') on conflict do nothing`,
		);
	}
	await owner.query(
		`insert into audit_archive_files values ('main', '2000-01-01', 0, 0, '{}') on conflict do nothing`,
	);
	await owner.query(
		"insert into benchmark_turns values ('main', now(), 300) on conflict do nothing",
	);
	await owner.query(
		`insert into benchmark_runs values ('main', $1, 'schedule', now(), '{}', '{}')
		on conflict do nothing`,
		[id],
	);
	await owner.query(
		`insert into alerts (tenant_id, id, rule, subject, advice)
		values ('main', $1, 'unreachable', 'partsMs.redis', '') on conflict do nothing`,
		[id],
	);
}

describe("the worker's role", () => {
	const refused = { code: "42501" }; // insufficient_privilege

	beforeAll(async () => {
		await migrate(postgres.url);
		await owner.query("truncate tenants, spare_keys cascade");
		await fillEveryTable();
		await grantApplicationRights(postgres.url, workerRole);
		worker = new pg.Client(postgres.workerUrl);
		await worker.connect();
	});

	/** Runs the statement as the worker, and takes back what it did. */
	async function asWorker(text: string): Promise<{ rowCount: number | null; rows: unknown[] }> {
		await worker.query("begin");
		try {
			const { rowCount, rows } = await worker.query(text);
			return { rowCount, rows };
		} finally {
			await worker.query("rollback");
		}
	}

	const anotherId = "'01900000-0000-7000-8000-000000000002'";
	it.each([
		"select * from tenants",
		"select * from tokens",
		`insert into tokens (tenant_id, id, name, role, secret_hash) values ('main', ${anotherId}, 'a', 'signer', sha256('b'))`,
		"update tokens set revoked_at = now()",
		"select * from keys",
		`insert into keys (tenant_id, id, name, algorithm, has_private) values ('main', ${anotherId}, 'a', 'ES256', true)`,
		"update keys set state = 'disabled', name = 'b'",
		"delete from keys",
		"insert into key_versions (tenant_id, key_id, version, public_jwk) select tenant_id, id, 2, '{}' from keys",
		"update key_versions set kek_id = 'new', sealed = 'resealed'",
		"delete from key_versions",
		"select * from config_versions",
		"insert into config_versions (tenant_id, version, config) values ('main', 2, '{}')",
		"select * from effects",
		`insert into effects (tenant_id, id, attempt) values ('main', ${anotherId}, 1) on conflict do nothing`,
		"delete from effects",
		"select * from audit_events",
		`insert into audit_events select tenant_id, at, ${anotherId}, request_id, token_id, action,
			target_id, target_name, version, algorithm, address, input_kind, input, signature, cost,
			outcome, chain, sequence, link from audit_events on conflict do nothing`,
		"select * from audit_chains",
		`insert into audit_chains values ('main', ${anotherId}, 'weur', 1) on conflict do nothing`,
		"select * from audit_outbox",
		`insert into audit_outbox select tenant_id, ${anotherId}, at, place, request_id, token_id,
			action, address, cost from audit_outbox`,
		"delete from audit_outbox",
		"select audit_ensure_partitions(7)",
		"select * from audit_archive_days",
		"select * from audit_archives",
		"insert into audit_archives (tenant_id, day) values ('main', '2000-01-02')",
		"update audit_archives set state = 'archived'",
		"select * from audit_archive_files",
		"insert into audit_archive_files values ('main', '2000-01-01', 0, 1, '{}')",
		"delete from audit_archive_files",
		"delete from audit_late",
		"select audit_close_partition('2000-01-01')",
		"select audit_drop_partition('2000-01-01')",
		"select * from benchmark_turns",
		`insert into benchmark_turns values ('main', now(), 300)
			on conflict (tenant_id) do update set begun_at = excluded.begun_at`,
		"update benchmark_turns set begun_at = now(), interval_seconds = 60",
		"select * from benchmark_runs",
		`insert into benchmark_runs values ('main', ${anotherId}, 'request', now(), '{}', '{}')`,
		"delete from benchmark_runs",
		"select * from alerts",
		`insert into alerts (tenant_id, id, rule, subject, advice) values ('main', ${anotherId}, 'a', 'b', '')`,
		"update alerts set resolved_at = now()",
		"delete from alerts",
		"select * from usage_daily",
		"delete from usage_daily",
		"select * from spare_keys for update skip locked",
		`insert into spare_keys (modulus_length, id, public_jwk, kek_id, sealed) values (2048, ${anotherId}, '{}', 'k', '')`,
		"delete from spare_keys",
	])("may do what the service does: %s", async (text) => {
		expect((await asWorker(text)).rowCount).toBeGreaterThan(0);
	});

	it.each([
		["make a tenant", "insert into tenants (id) values ('other')"],
		["rename a tenant", "update tenants set id = 'other'"],
		["delete a tenant", "delete from tenants"],
		["delete a token", "delete from tokens"],
		["raise a token's role", "update tokens set role = 'admin'"],
		["widen a token", "update tokens set key_patterns = null"],
		["prolong a token", "update tokens set expires_at = null"],
		["exchange a token's secret", "update tokens set secret_hash = sha256('mine')"],
		["widen a token's limit", "update tokens set rate_quota = null, rate_window_seconds = null"],
		["rewrite a configuration", "update config_versions set config = '{}'"],
		["delete a configuration", "delete from config_versions"],
		["rewrite what a request did", "update effects set resource = null"],
		["rewrite a record", "update audit_events set outcome = 'ok'"],
		["delete a record", "delete from audit_events"],
		["lock a record", "select * from audit_events for update"],
		["rewrite a partition", "update audit_events_default set outcome = 'ok'"],
		["read past the table", "select * from audit_events_default"],
		["add to a partition", "insert into audit_events_default select * from audit_events"],
		["drop a partition", "drop table audit_events_default"],
		["detach a partition", "alter table audit_events detach partition audit_events_default"],
		["empty the log", "truncate audit_events"],
		["rename a chain", "update audit_chains set region = 'eeur'"],
		["delete a chain", "delete from audit_chains"],
		["rewrite the record of a change", "update audit_outbox set action = 'sign'"],
		["close a day by hand", "insert into audit_archive_days values ('2000-01-02')"],
		["say that a partition is gone", "update audit_archive_days set dropped_at = now()"],
		["forget an archived day", "delete from audit_archives"],
		["rewrite what is in a file", "update audit_archive_files set file = '{}'"],
		["note a record that did not come", "insert into audit_late values ('main', '2000-01-02')"],
		["pass over records that wait", "update audit_moves set tenant_id = 'z'"],
		["make tables beside the log", "select audit_begin_move(7)"],
		["put tables into the log", "select audit_end_move()"],
		["rewrite a run", "update benchmark_runs set figures = '{}'"],
		["rewrite an alert", "update alerts set advice = ''"],
		["count what was not done", "update usage_daily set signatures = 9"],
		["add to the counts", "insert into usage_daily select * from usage_daily"],
		["exchange a public key", "update key_versions set public_jwk = '{}'"],
		["move a version to another key", "update key_versions set version = 9"],
		["empty a table", "truncate keys"],
		["make a table", "create table mine (a int)"],
		["make a schema", "create schema mine"],
		["make a temporary table", "create temporary table mine (a int)"],
		["make a function", "create function mine() returns int language sql return 1"],
		["make a role", "create role mine"],
		["make an extension", "create extension if not exists citext"],
		["alter a table", "alter table tokens add column mine int"],
		["drop a table", "drop table keys"],
		["drop an index", "drop index tokens_by_hash"],
		["switch the triggers and keys off", "set session_replication_role = replica"],
		["become the owner", "set role edgesign"],
		["know of the migrations", "select * from schema_migrations"],
		["read the passwords of roles", "select rolpassword from pg_authid"],
		["read the settings of files", "select * from pg_hba_file_rules"],
		["read a file", "select pg_read_file('/etc/hostname')"],
		["run a program", "copy (select 1) to program 'true'"],
		["write a file", "copy (select 1) to '/tmp/edgesign-mine'"],
	])("may not %s", async (_, text) => {
		await expect(asWorker(text)).rejects.toMatchObject(refused);
	});

	it("may not read another schema, even when its owner left the table open", async () => {
		await owner.query("create schema private");
		await owner.query("create table private.secrets (secret text)");
		await owner.query("grant select on private.secrets to public");
		await expect(asWorker("select * from private.secrets")).rejects.toMatchObject(refused);
		await owner.query("drop schema private cascade");
	});

	it("may not pass on what it has", async () => {
		await worker.query("grant select on tenants to public"); // a warning, and nothing is granted
		const { rows } = await owner.query(
			"select has_table_privilege('public', 'tenants', 'select') as granted",
		);
		expect(rows).toEqual([{ granted: false }]);
	});

	it("sees of the statistics no statement of the owner's", async () => {
		await owner.query("select 1 as of_the_owner_alone");
		const look =
			"select query from pg_stat_statements where query like '%of_the_owner' || '_alone%'";
		expect((await owner.query(look)).rows).toHaveLength(1);
		expect((await asWorker(look)).rows).toEqual([]);
	});

	it("has no attribute beyond its login, and owns nothing", async () => {
		const { rows } = await owner.query(
			`select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_roles
			where rolname in ($1, 'edgesign_app')`,
			[workerRole],
		);
		expect(rows).toHaveLength(2);
		for (const row of rows) expect(Object.values(row)).toEqual([false, false, false, false, false]);
		const owned = await owner.query(
			"select 1 from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname in ($1, 'edgesign_app')",
			[workerRole],
		);
		expect(owned.rows).toEqual([]);
	});

	it("is a member of the application's role alone", async () => {
		const { rows } = await owner.query(
			`select g.rolname from pg_auth_members m join pg_roles g on g.oid = m.roleid
			join pg_roles w on w.oid = m.member where w.rolname in ($1, 'edgesign_app')`,
			[workerRole],
		);
		expect(rows).toEqual([{ rolname: "edgesign_app" }]);
	});
});

describe("the schema's own rules", () => {
	const key = (columns: string, values: string) =>
		`insert into keys (tenant_id, id, name, algorithm, has_private, ${columns})
		values ('main', '01900000-0000-7000-8000-000000000003', 'ruled', 'ES256', true, ${values})`;

	it.each([
		["a tenant's name in capitals", "insert into tenants (id) values ('Main')", "23514"],
		["a key of a tenant that is not there", "update keys set tenant_id = 'nobody'", "23503"],
		["an unknown role", "update tokens set role = 'root'", "23514"],
		["a hash of another length", "update tokens set secret_hash = 'short'", "23514"],
		["a list of no patterns", "update tokens set key_patterns = '{}'", "23514"],
		["a token's quota without its window", "update tokens set rate_quota = 1", "23514"],
		["a quota of nothing", "update tokens set rate_quota = 0, rate_window_seconds = 1", "23514"],
		["a configuration before the first", "update config_versions set version = 0", "23514"],
		["a configuration that is no object", "update config_versions set config = '[]'", "23514"],
		[
			"a version that is there",
			"insert into config_versions select * from config_versions",
			"23505",
		],
		["an attempt before the first", "update effects set attempt = 0", "23514"],
		["an effect a second time", "insert into effects select * from effects", "23505"],
		["a record a second time", "insert into audit_events select * from audit_events", "23505"],
		["a link of another length", "update audit_events set link = 'short'", "23514"],
		["a digest of another length", "update audit_events set input = 'short'", "23514"],
		["an unknown state", key("state", "'gone'"), "23514"],
		["a deletion without its day", key("state", "'pending_deletion'"), "23514"],
		["a day of deletion without the state", key("delete_at", "now()"), "23514"],
		["a minimum above the current version", key("min_sign_version", "2"), "23514"],
		["a minimum of zero", key("min_verify_version", "0"), "23514"],
		["tags that are a list", key("tags", "'[]'"), "23514"],
		["a name in use", key("current_version", "1").replace("'ruled'", "'payments'"), "23505"],
		["a sealed secret without its key's id", "update key_versions set kek_id = null", "23514"],
		[
			"a version of nothing",
			"update key_versions set kek_id = null, sealed = null, public_jwk = null",
			"23514",
		],
	])("refuse %s", async (_, text, code) => {
		await owner.query("begin");
		await expect(owner.query(text)).rejects.toMatchObject({ code });
		await owner.query("rollback");
	});

	it("delete the versions with their key", async () => {
		await owner.query("begin");
		await owner.query("delete from keys");
		expect((await owner.query("select 1 from key_versions")).rows).toEqual([]);
		await owner.query("rollback");
	});

	it("lead every index of a tenant's table with the tenant, but those that jobs walk", async () => {
		const { rows } = await owner.query(
			`select indexname, indexdef from pg_indexes where schemaname = 'public'
			and (tablename in ('tenants', 'tokens', 'keys', 'key_versions', 'config_versions', 'effects')
				or tablename like 'audit_%' or tablename like 'usage_%')`,
		);
		const others = rows.filter(({ indexdef }) => !/\((tenant_id|id)[,)]/.test(indexdef));
		expect(others.map(({ indexname }) => indexname).sort()).toEqual([
			"audit_archive_days_pkey",
			"audit_events_default_by_at",
			"audit_outbox_by_age",
			"effects_by_age",
			"key_versions_by_kek",
			"keys_due",
		]);
	});
});

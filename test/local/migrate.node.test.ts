import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { withDatabase } from "../../local/database.ts";
import { startGuard } from "../../local/guard.ts";
import { grantApplicationRights, migrate, schemaVersion } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres, workerRole } from "../../local/postgres.ts";
import { newDataDir } from "../support/node/data-dir.ts";

const guard = startGuard();
let dataDir: string;
let postgres: RunningPostgres;

beforeAll(async () => {
	dataDir = await newDataDir();
	const onSpawn = (pid: number) => guard.watch(pid, "SIGQUIT");
	postgres = await startPostgres({ dataDir, durable: false, onSpawn });
});

afterAll(async () => {
	await postgres.stop();
	await guard.stop();
	await rm(dataDir, { recursive: true, force: true });
});

let databases = 0;
let url: string;

beforeEach(async () => {
	const name = `database_${++databases}`;
	await withDatabase(postgres.url, (client) => client.query(`create database ${name}`));
	url = postgres.url.replace(/[^/]+$/, name);
});

async function tables(): Promise<string[]> {
	const { rows } = await withDatabase(url, (client) =>
		client.query<{ name: string }>(
			`select tablename as name from pg_tables where schemaname = 'public'
			and tablename <> 'schema_migrations' order by 1`,
		),
	);
	return rows.map(({ name }) => name);
}

/** Everything in the catalogue that a migration could forget: columns, indexes, constraints, rights. */
async function shape(): Promise<unknown> {
	const { rows } = await withDatabase(url, (client) =>
		client.query(
			`select 'column' as kind, table_name || '.' || column_name || ' ' || data_type || ' ' ||
				is_nullable || coalesce(column_default, '') as text
			from information_schema.columns where table_schema = 'public'
			union all select 'index', indexdef from pg_indexes where schemaname = 'public'
			union all select 'constraint', conrelid::regclass || ' ' || pg_get_constraintdef(oid)
			from pg_constraint where connamespace = 'public'::regnamespace
			union all select 'right', grantee || ' ' || table_name || ' ' || privilege_type
			from information_schema.role_table_grants where table_schema = 'public'
			order by 1, 2`,
		),
	);
	return rows;
}

test("the project's schema goes up, down to nothing and up to the same shape again", async () => {
	const applied = await migrate(url);
	expect(applied.length).toBeGreaterThan(0);
	expect(applied.every(({ action }) => action === "do")).toBe(true);
	const newest = await schemaVersion(url);
	const before = await shape();
	expect(await tables()).toEqual(expect.arrayContaining(["keys", "tenants", "tokens"]));

	await expect(migrate(url, 0)).rejects.toThrow(/delete tables .*\(.*tenants.*\).*--drop-rows/);
	expect(await schemaVersion(url)).toBe(newest);
	const undone = await migrate(url, 0, { dropRows: true });
	expect(undone.map(({ version }) => version)).toEqual(
		applied.map(({ version }) => version).reverse(),
	);
	expect(await tables()).toEqual([]);
	expect(await schemaVersion(url)).toBe(0);

	await migrate(url);
	expect(await schemaVersion(url)).toBe(newest);
	expect(await shape()).toEqual(before);
	expect(await migrate(url)).toEqual([]);
});

test("two at once run each migration once", async () => {
	const runs = await Promise.all([migrate(url), migrate(url), migrate(url)]);
	const done = runs.filter((run) => run.length > 0);
	expect(done).toHaveLength(1);
});

test("the worker's role reads what the migrations grant, and can not change the schema", async () => {
	await migrate(url);
	await grantApplicationRights(url, workerRole);
	const workerUrl = postgres.workerUrl.replace(/[^/]+$/, new URL(url).pathname.slice(1));
	await withDatabase(workerUrl, async (client) => {
		const { rows } = await client.query("select id from tenants");
		expect(rows).toEqual([{ id: "edgesign-benchmark" }]);
		await expect(client.query("drop table keys")).rejects.toThrow(/must be owner/);
		await expect(client.query("delete from tokens")).rejects.toThrow(/permission denied/);
	});
});

test("a migration that fails is named, and nothing of the run remains", async () => {
	// Brackets mean something in the pattern that finds the files; here they are a name.
	const folder = await mkdtemp(join(dataDir, "a[b]*c-"));
	await writeFile(join(folder, "001.do.first.sql"), "create table first ();");
	await writeFile(join(folder, "002.do.second.sql"), "create table second (); select 1/0;");
	await expect(migrate(url, "max", { folder })).rejects.toThrow(
		/002\.do\.second\.sql: division by zero/,
	);
	expect(await tables()).toEqual([]);
	expect(await schemaVersion(url)).toBe(0);
	await expect(migrate(url, 3, { folder })).rejects.toThrow(
		"there is no version 3: the newest is 2",
	);
	expect(await migrate(url, 1, { folder })).toHaveLength(1);
	expect(await tables()).toEqual(["first"]);
});

test("a migration that was changed after it ran is refused", async () => {
	const folder = await mkdtemp(join(dataDir, "changed-"));
	await writeFile(join(folder, "001.do.first.sql"), "create table first ();");
	await migrate(url, "max", { folder });
	await writeFile(join(folder, "001.do.first.sql"), "create table other ();");
	await expect(migrate(url, "max", { folder })).rejects.toThrow(
		/checksum failed for migration \[1\]/,
	);
});

test("a release that does not know the newest migration does nothing, and says so", async () => {
	const folder = await mkdtemp(join(dataDir, "older-"));
	for (const [version, name] of ["first", "second", "third"].entries()) {
		const file = join(folder, `00${version + 1}`);
		await writeFile(`${file}.do.${name}.sql`, `create table ${name} ();`);
		await writeFile(`${file}.undo.${name}.sql`, `drop table ${name};`);
	}
	await migrate(url, "max", { folder });
	for (const action of ["do", "undo"]) await rm(join(folder, `003.${action}.third.sql`));
	for (const to of ["max", 2, 1, 0] as const) {
		await expect(migrate(url, to, { folder })).rejects.toThrow(
			"the schema is at version 3, and this release knows it up to 2",
		);
	}
	expect(await tables()).toEqual(["first", "second", "third"]);
});

test("a migration that is missing under later ones is named", async () => {
	const folder = await mkdtemp(join(dataDir, "gap-"));
	await writeFile(join(folder, "001.do.first.sql"), "create table first ();");
	await writeFile(join(folder, "002.do.second.sql"), "create table second ();");
	await migrate(url, "max", { folder });
	await withDatabase(url, (client) =>
		client.query("delete from schema_migrations where version = 1"),
	);
	await expect(migrate(url, "max", { folder })).rejects.toThrow(/and 1 \(first\) was never run/);
});

test("a database that does not answer is one clear line", async () => {
	const nobody = "postgres://x:y@127.0.0.1:9/nothing";
	await expect(migrate(nobody)).rejects.toThrow(/^the database does not answer: .*ECONNREFUSED/);
});

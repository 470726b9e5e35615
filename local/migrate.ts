import { join } from "node:path";
import { parseArgs } from "node:util";
import type pg from "pg";
import Postgrator from "postgrator";
import * as limits from "../src/limits.ts";
import { databaseOrRunningStack } from "./connect.ts";
import { withDatabase } from "./database.ts";
import { inOneLine, Problem, runCommand } from "./problem.ts";

const migrationsFolder = join(import.meta.dirname, "..", "migrations");
/** Any number, the same in every run: one migration at a time per database. */
const lockId = 7_203_114_551;
/** Of who makes and drops partitions of the audit log (migration 010): what that has begun, a migration does not see. */
const partitionsLockId = 7_203_114_552;
const lockTimeoutMs = 60_000;

export interface AppliedMigration {
	readonly version: number;
	readonly name: string;
	readonly action: "do" | "undo";
}

export interface MigrateOptions {
	readonly folder?: string;
	/** Whether tables may go, on the way down, that have rows. */
	readonly dropRows?: boolean;
}

/**
 * Moves the schema to a version, by default the newest: all of it in one transaction, or nothing.
 * Two at once run one after the other.
 * @param databaseUrl of the owner of the schema
 * @returns what was run, in that order
 * @throws Problem with the migration's name and PostgreSQL's words; where another release made the schema, and
 *   where rows would be lost
 */
export async function migrate(
	databaseUrl: string,
	to: "max" | number = "max",
	{ folder = migrationsFolder, dropRows = false }: MigrateOptions = {},
): Promise<AppliedMigration[]> {
	return withDatabase(databaseUrl, async (client) => {
		await client.query("begin");
		await client.query(`set local lock_timeout = ${lockTimeoutMs}`);
		await client.query("select pg_advisory_xact_lock($1)", [lockId]);
		await client.query("select pg_advisory_xact_lock($1)", [partitionsLockId]);
		const runner = runnerFor(client, folder);
		const newest = await runner.getMaxVersion();
		if (to !== "max" && to > newest)
			throw new Problem(`there is no version ${to}: the newest is ${newest}`);
		const current = await requireKnown(client, runner, newest);
		const isDown = to !== "max" && to < current;
		if (isDown) await lockLog(client);
		const full = isDown && !dropRows ? await tablesWithRows(client) : [];
		let running = "";
		runner.on("migration-started", ({ filename }) => {
			running = ` in ${filename}`;
		});
		try {
			const done = await runner.migrate(String(to));
			await requireThere(client, full);
			await client.query("commit");
			return done.map(({ version, name, action }) => ({ version, name, action }));
		} catch (error) {
			if (error instanceof Problem) throw error;
			throw new Problem(`the migration failed${running}: ${inOneLine(error)}`, { cause: error });
		}
	});
}

/** Migrations down lock its parts in an order of their own, against who reads and adds meanwhile. */
async function lockLog(client: pg.Client): Promise<void> {
	const { rows } = await client.query<{ name: string | null }>(
		"select to_regclass('public.audit_events')::text as name",
	);
	if (rows[0]?.name) await client.query("lock table audit_events in access exclusive mode");
}

/**
 * The runner undoes what it has files of, and takes the newest that is left for the schema's version: an older
 * release would take migrations away from under those that it does not know.
 */
async function requireKnown(
	client: pg.Client,
	runner: Postgrator,
	newest: number,
): Promise<number> {
	const table = await client.query<{ name: string | null }>(
		"select to_regclass('public.schema_migrations')::text as name",
	);
	if (!table.rows[0]?.name) return 0;
	const { rows } = await client.query<{ version: number }>(
		"select version::integer from public.schema_migrations where version > 0 order by 1",
	);
	const current = rows.at(-1)?.version ?? 0;
	if (current > newest) {
		throw new Problem(
			`the schema is at version ${current}, and this release knows it up to ${newest}: use the release that made it, or a newer one, also to go down`,
		);
	}
	const applied = new Set(rows.map(({ version }) => version));
	const files = await runner.getMigrations();
	const missing = files.find(
		({ action, version }) => action === "do" && version < current && !applied.has(version),
	);
	if (missing) {
		throw new Problem(
			`the schema is at version ${current}, and ${missing.version} (${missing.name}) was never run or was undone from under it: this needs a person who knows what became of it`,
		);
	}
	return current;
}

/** Partitions are their table's. */
async function tablesWithRows(client: pg.Client): Promise<string[]> {
	const { rows } = await client.query<{ name: string }>(
		`select c.oid::regclass::text as name from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
			and c.relname <> 'schema_migrations' and pg_has_role(c.relowner, 'usage') order by 1`,
	);
	const full: string[] = [];
	for (const { name } of rows) {
		const { rowCount } = await client.query(`select from ${name} limit 1`);
		if (rowCount) full.push(name);
	}
	return full;
}

async function requireThere(client: pg.Client, tables: readonly string[]): Promise<void> {
	const { rows } = await client.query<{ name: string }>(
		"select name from unnest($1::text[]) name where to_regclass(name) is null order by 1",
		[tables],
	);
	if (rows.length === 0) return;
	const names = rows.map(({ name }) => name).join(", ");
	throw new Problem(
		`this would delete tables with all that is in them (${names}), and nothing was done: --drop-rows does it`,
	);
}

/** The version of the schema that the database has; 0 before the first migration. */
export async function schemaVersion(databaseUrl: string): Promise<number> {
	return withDatabase(databaseUrl, (client) =>
		runnerFor(client, migrationsFolder).getDatabaseVersion(),
	);
}

/** Of the worker's login role: no write ends later than the service counts on (docs/storage.md). */
export const workerTimeouts = {
	statement_timeout: limits.databaseStatementMs,
	idle_in_transaction_session_timeout: limits.databaseStatementMs,
	transaction_timeout: limits.databaseTransactionMs,
} as const;

/**
 * Lets a login role act as the worker: it gets the rights of `edgesign_app`, and no others, and its
 * time-outs, which connections have that are opened from then on.
 */
export async function grantApplicationRights(databaseUrl: string, role: string): Promise<void> {
	await withDatabase(databaseUrl, async (client) => {
		const name = client.escapeIdentifier(role);
		await client.query(`grant edgesign_app to ${name}`);
		for (const [setting, milliseconds] of Object.entries(workerTimeouts)) {
			await client.query(`alter role ${name} set ${setting} = ${milliseconds}`);
		}
	});
}

function runnerFor(client: pg.Client, folder: string): Postgrator {
	return new Postgrator({
		driver: "pg",
		schemaTable: "public.schema_migrations",
		// The folder is a path, not a pattern: a bracket in it stands for itself.
		migrationPattern: join(folder.replace(/[?*()[\]{}]/g, "[$&]"), "*.sql"),
		newline: "LF",
		execQuery: (query) => client.query(query),
	});
}

const usageLine = "npm run migrate -- [up | down | NUMBER] [--data DIR] [--drop-rows]";
const usage = `${usageLine}

Moves the schema to the newest version, one back, or to one. Tables that have rows go only with --drop-rows.`;

/** up: to the newest version; down: one version back; a number: to that version. */
async function target(databaseUrl: string, word: string): Promise<"max" | number> {
	if (word === "up") return "max";
	if (word === "down") return Math.max((await schemaVersion(databaseUrl)) - 1, 0);
	if (/^\d{1,9}$/.test(word)) return Number(word);
	throw new Problem(`"${word}" is not up, down or a version. Usage: ${usageLine}`);
}

async function main(args: string[]): Promise<void> {
	const { values, positionals } = parseArgs({
		args,
		options: {
			data: { type: "string" },
			"drop-rows": { type: "boolean", default: false },
		},
		allowPositionals: true,
	});
	const [word = "up", ...rest] = positionals;
	if (rest.length > 0) throw new Problem(`one word is enough. Usage: ${usageLine}`);
	const { databaseUrl } = await databaseOrRunningStack(values.data);
	const to = await target(databaseUrl, word);
	const applied = await migrate(databaseUrl, to, { dropRows: values["drop-rows"] });
	for (const { action, version, name } of applied) console.log(`${action} ${version} ${name}`);
	console.log(`The schema is at version ${await schemaVersion(databaseUrl)}.`);
}

if (import.meta.main) await runCommand(main, usage);

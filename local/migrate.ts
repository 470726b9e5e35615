import { join } from "node:path";
import { parseArgs } from "node:util";
import type pg from "pg";
import Postgrator from "postgrator";
import { limits } from "../src/limits.ts";
import { databaseOrRunningStack } from "./connect.ts";
import { withDatabase } from "./database.ts";
import { inOneLine, Problem, runCommand } from "./problem.ts";

const migrationsFolder = join(import.meta.dirname, "..", "migrations");
/** Any number, the same in every run: one migration at a time per database. */
const lockId = 7_203_114_551;
const lockTimeoutMs = 60_000;

export interface AppliedMigration {
	readonly version: number;
	readonly name: string;
	readonly action: "do" | "undo";
}

/**
 * Moves the schema to a version, by default the newest: all of it in one transaction, or nothing.
 * Two at once run one after the other.
 * @param databaseUrl of the owner of the schema
 * @returns what was run, in that order
 * @throws Problem with the migration's name and PostgreSQL's words
 */
export async function migrate(
	databaseUrl: string,
	to: "max" | number = "max",
	folder: string = migrationsFolder,
): Promise<AppliedMigration[]> {
	return withDatabase(databaseUrl, async (client) => {
		await client.query("begin");
		await client.query(`set local lock_timeout = ${lockTimeoutMs}`);
		await client.query("select pg_advisory_xact_lock($1)", [lockId]);
		const runner = runnerFor(client, folder);
		const newest = await runner.getMaxVersion();
		if (to !== "max" && to > newest)
			throw new Problem(`there is no version ${to}: the newest is ${newest}`);
		let running = "";
		runner.on("migration-started", ({ filename }) => {
			running = ` in ${filename}`;
		});
		try {
			const done = await runner.migrate(String(to));
			await client.query("commit");
			return done.map(({ version, name, action }) => ({ version, name, action }));
		} catch (error) {
			throw new Problem(`the migration failed${running}: ${inOneLine(error)}`, { cause: error });
		}
	});
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

const usage = "npm run migrate -- [up | down | NUMBER] [--data DIR]";

/** up: to the newest version; down: one version back; a number: to that version. */
async function target(databaseUrl: string, word: string): Promise<"max" | number> {
	if (word === "up") return "max";
	if (word === "down") return Math.max((await schemaVersion(databaseUrl)) - 1, 0);
	if (/^\d{1,9}$/.test(word)) return Number(word);
	throw new Problem(`"${word}" is not up, down or a version. Usage: ${usage}`);
}

async function main(args: string[]): Promise<void> {
	const { values, positionals } = parseArgs({
		args,
		options: { data: { type: "string" } },
		allowPositionals: true,
	});
	const [word = "up", ...rest] = positionals;
	if (rest.length > 0) throw new Problem(`one word is enough. Usage: ${usage}`);
	const { databaseUrl } = await databaseOrRunningStack(values.data);
	const applied = await migrate(databaseUrl, await target(databaseUrl, word));
	for (const { action, version, name } of applied) console.log(`${action} ${version} ${name}`);
	console.log(`The schema is at version ${await schemaVersion(databaseUrl)}.`);
}

if (import.meta.main) await runCommand(main, usage);

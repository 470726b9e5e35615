import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seedSkewed } from "../../bench/skewed-data.ts";
import { adviseOnTables, type Finding, lookedFor, readStatements } from "../../local/advice.ts";
import { LogAdvice } from "../../local/advice-log.ts";
import { migrate } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres } from "../../local/postgres.ts";
import { labelled } from "../../src/db/client.ts";
import { statements as tokens } from "../../src/db/tokens.ts";
import { newDataDir } from "../support/node/data-dir.ts";

const execute = promisify(execFile);
const command = join(import.meta.dirname, "..", "..", "local", "db-advise.ts");

let dataDir: string;
let postgres: RunningPostgres;
let owner: pg.Client;

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	await migrate(postgres.url);
	owner = new pg.Client(postgres.url);
	await owner.connect();
	await owner.query("alter system set autovacuum = off");
	await owner.query("select pg_reload_conf()");
	await seedSkewed(owner, { events: 20_000, days: 2, keys: 24_000 });
	// Counts that come only now would be added to what analyze finds.
	await owner.query("select pg_stat_force_next_flush()");
	await owner.query("select pg_stat_reset(), pg_stat_statements_reset()");
	await owner.query("analyze");
});

afterAll(async () => {
	await owner?.end();
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

async function findings(): Promise<Finding[]> {
	await owner.query("select pg_stat_force_next_flush()");
	await owner.query("select pg_stat_clear_snapshot()");
	return adviseOnTables(owner, await readStatements(owner));
}

const findToken = () =>
	owner.query(labelled(tokens.byHash), ["main", "00".repeat(32)]).then(({ rows }) => rows);

describe("advice on tables", () => {
	it("names a table that is read from end to end, by what, and the index for it", async () => {
		for (let n = 0; n < 12; n++) await findToken();
		const isMissing = ({ kind }: Finding) => kind === "missing index";
		expect((await findings()).filter(isMissing)).toEqual([]);
		await owner.query("drop index tokens_by_hash");
		for (let n = 0; n < 12; n++) await findToken();
		const [missing, ...others] = (await findings()).filter(isMissing);
		expect(others).toEqual([]);
		expect(missing).toMatchObject({
			subject: "tokens",
			why: expect.stringContaining("tokens.byHash"),
		});
		expect(missing?.run).toBe("create index concurrently on tokens (tenant_id, secret_hash);");
		await owner.query(`${missing?.run}`);
		const { rows } = await owner.query(`explain ${labelled(tokens.byHash)}`, [
			"main",
			"00".repeat(32),
		]);
		expect(JSON.stringify(rows)).toContain("Index Scan");
	});

	it("names indexes that nobody reads, one for all partitions, and none that a constraint needs", async () => {
		await owner.query("create index nobody_reads_it on audit_events (tenant_id, token_id)");
		const found = (await findings()).filter(({ kind }) => kind === "unused index");
		const own = found.find(({ subject }) => subject === "nobody_reads_it");
		expect(own).toMatchObject({ run: "drop index nobody_reads_it;" });
		expect(own?.why).toContain("over 20000 rows");
		expect(
			found.map(({ subject }) => subject).filter((name) => /_pkey|keys_by_name/.test(name)),
		).toEqual([]);
		await owner.query(`${own?.run}`);
	});

	it("names tables that changed since they were analysed, and those with many dead rows", async () => {
		await owner.query("update config_versions set note = 'other'");
		await owner.query(
			"insert into audit_chains select 'x', gen_random_uuid(), 'weur', n from generate_series(1, 2000) n",
		);
		const found = (await findings()).filter(({ kind }) => kind === "vacuum" || kind === "analyze");
		expect(found).toContainEqual(
			expect.objectContaining({ kind: "vacuum", run: "vacuum (analyze) config_versions;" }),
		);
		expect(found).toContainEqual(
			expect.objectContaining({ kind: "analyze", run: "analyze audit_chains;" }),
		);
		for (const { run } of found) await owner.query(run);
		const left = (await findings()).filter(({ kind }) => kind === "vacuum" || kind === "analyze");
		expect(left).toEqual([]);
	});

	it("has statements by the names of the service, with calls, rows and times", async () => {
		const statements = await readStatements(owner);
		expect(statements?.find(({ name }) => name === "tokens.byHash")).toMatchObject({
			calls: 24,
			rows: 0,
			totalMs: expect.any(Number),
			slowestMs: expect.any(Number),
		});
	});
});

describe("the columns that a statement looks for rows by", () => {
	const table = { name: "tokens", columns: ["tenant_id", "id", "name", "created_at"] };
	it.each([
		["select 1 from tokens where tenant_id = $1 and name = $2", ["tenant_id", "name"]],
		["select 1 from tokens t where t.created_at > $1 and t.id = $2", ["id", "created_at"]],
		["select 1 from keys k join tokens t on t.id = k.id where k.name = $1", ["id"]],
		["select 1 from keys where name = $1", []],
	])("%s", (text, expected) => {
		expect(lookedFor(text, table)).toEqual(expected);
	});
});

const lines = [
	"edgesign is ready",
	'{"level":"warn","event":"repeated_query","requestId":"1","route":"listKeys","statement":"keys.version","calls":51}',
	'{"level":"warn","event":"repeated_query","requestId":"2","route":"listKeys","statement":"keys.version","calls":20}',
	'{"level":"info","event":"slow_query","statement":"tokens.list","milliseconds":812,"rows":51}',
	'{"level":"info","event":"slow_query","statement":"keys.purge, tokens.list","milliseconds":900,"rows":null}',
	'{"event":"broken',
	'{"level":"error","event":"job_failed","job":"a","error":"b"}',
];

describe("advice on the log", () => {
	it("names what a request asked again and again, and what was slow", () => {
		const advice = new LogAdvice();
		for (const line of lines) advice.line(line);
		const [repeated, slow, both, ...others] = advice.findings();
		expect(others).toEqual([]);
		expect(repeated).toMatchObject({
			kind: "n+1",
			subject: "keys.version",
			why: "2 requests of listKeys asked it up to 51 times each",
		});
		expect(repeated?.run).toContain("from key_versions v where v.tenant_id = $1");
		expect(slow).toMatchObject({ kind: "slow", subject: "tokens.list" });
		expect(slow?.why).toContain("812 ms");
		// What is explained is done: nothing of it may stay.
		expect(both?.run).toMatch(
			/^begin; explain \(analyze, buffers\) with .*delete from keys.*; explain \(analyze, buffers\) select .*; rollback;$/,
		);
	});
});

describe("npm run db:advise", () => {
	const env = { ...process.env, DATABASE_URL: "" };
	const run = (...args: string[]) =>
		execute(process.execPath, [command, ...args], {
			env: { ...env, DATABASE_URL: postgres.url },
			timeout: 30_000,
		});

	it("prints a table, and the statements", async () => {
		const log = join(dataDir, "service.log");
		await writeFile(log, lines.join("\n"));
		const { stdout } = await run("--log", log);
		expect(stdout).toMatch(/^statement +calls +rows +total ms/);
		expect(stdout).toMatch(/\ntokens\.byHash +24 /);
		expect(stdout).toMatch(/\nn\+1 +keys\.version +2 requests of listKeys/);
	});

	it("writes the same as JSON", async () => {
		const { findings: found, statements } = JSON.parse((await run("--json")).stdout);
		expect(statements.map(({ name }: { name: string }) => name)).toContain("tokens.byHash");
		expect(Array.isArray(found)).toBe(true);
	});

	it("knows of no statements where the library of the extension was not loaded", async () => {
		const message = 'pg_stat_statements must be loaded via "shared_preload_libraries"';
		const query = async (sql: string) => {
			if (sql.includes("from pg_extension")) return { rowCount: 1 };
			throw Object.assign(new Error(message), { code: "55000" });
		};
		expect(await readStatements({ query } as unknown as pg.Client)).toBeNull();
	});

	it("says in a line which log is not there", async () => {
		const failed = await run("--log", join(dataDir, "no.log")).catch((error) => error);
		expect(failed.stderr).toMatch(/^edgesign: the log can not be read: ENOENT.*\n$/);
	});
});

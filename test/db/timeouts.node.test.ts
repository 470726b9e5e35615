import { readFile, rm } from "node:fs/promises";
import { neon, neonConfig } from "@neondatabase/serverless";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { grantApplicationRights, migrate, workerTimeouts } from "../../local/migrate.ts";
import { type NeonGateway, startNeonGateway } from "../../local/neon.ts";
import { type RunningPostgres, startPostgres, workerRole } from "../../local/postgres.ts";
import { createDatabase, pingStatement, type Statement } from "../../src/db/client.ts";
import * as limits from "../../src/limits.ts";
import { newDataDir } from "../support/node/data-dir.ts";

const keyId = "01900000-0000-7000-8000-000000000001";
const disable = "update keys set state = 'disabled' where tenant_id = 'main'";

let dataDir: string;
let postgres: RunningPostgres;
let gateway: NeonGateway;
let owner: pg.Client;

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	gateway = await startNeonGateway({ databaseUrl: postgres.url });
	neonConfig.fetchEndpoint = () => `${gateway.url}/sql`;
	await migrate(postgres.url);
	await grantApplicationRights(postgres.url, workerRole);
	owner = await connected(postgres.url);
	await owner.query("insert into tenants (id) values ('main')");
	await owner.query(
		`insert into keys (tenant_id, id, name, algorithm, has_private)
		values ('main', $1, 'payments', 'Ed25519', true)`,
		[keyId],
	);
});

afterAll(async () => {
	await owner?.end();
	await gateway?.stop();
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

async function connected(url: string): Promise<pg.Client> {
	const client = new pg.Client(url);
	client.on("error", () => {}); // a connection that the server ends is what some of these tests want
	await client.connect();
	return client;
}

async function stateOfKey(): Promise<unknown> {
	return (await owner.query("select state from keys where id = $1", [keyId])).rows[0]?.state;
}

/** Runs `work` while another session holds the key's row, and lets go of the row when it has ended. */
async function whileLocked<T>(work: () => Promise<T>): Promise<T> {
	const holder = await connected(postgres.url);
	await holder.query("begin");
	await holder.query("select 1 from keys for update");
	try {
		return await work();
	} finally {
		await holder.end();
	}
}

// None of these waits for the client: it would wait on for ever.
describe("what the worker's role sends has ended long before its change is given up", {
	timeout: limits.changeTimeoutMs,
}, () => {
	let worker: pg.Client;
	beforeEach(async () => {
		worker = await connected(postgres.workerUrl);
	});
	afterEach(() => worker.end());

	it("as a statement behind a lock: it fails, and has not taken effect when the lock is gone", async () => {
		await whileLocked(async () => {
			await expect(worker.query(disable)).rejects.toMatchObject({ code: "57014" }); // query_canceled
		});
		expect(await stateOfKey()).toBe("enabled");
	});

	it("as a statement over HTTP, where nothing can be set before it", async () => {
		await whileLocked(async () => {
			const sql = neon(postgres.workerUrl);
			await expect(sql.query(disable)).rejects.toMatchObject({ code: "57014" });
		});
		expect(await stateOfKey()).toBe("enabled");
	});

	it("as a transaction over HTTP of statements that are each in time", async () => {
		const sql = neon(postgres.workerUrl);
		// Five seconds, in pieces that are in time on a machine that stalls too.
		const pauses = Array.from({ length: 10 }, () => sql.query("select pg_sleep(0.5)"));
		const transaction = sql.transaction([sql.query(disable), ...pauses]);
		await expect(transaction).rejects.toMatchObject({ code: "25P04" }); // transaction_timeout
		expect(await stateOfKey()).toBe("enabled");
	});

	it("as a transaction that nobody goes on with: the row is free again", async () => {
		await worker.query("begin");
		await worker.query(disable);
		const other = await connected(postgres.url);
		await other.query("select 1 from keys for update"); // waits for the server to end the transaction
		await other.end();
		expect(await stateOfKey()).toBe("enabled");
	});
});

describe("a Postgres that reads only for a while, as in a failover", () => {
	const rename: Statement = {
		name: "test.rename",
		text: "update keys set name = $1 where tenant_id = 'main'",
	};

	it("is away for changes, which is no fault of ours, and nothing is changed", async () => {
		const address = { databaseUrl: postgres.workerUrl, neonGateway: gateway.url };
		const db = createDatabase(address);
		const call = { statement: rename, params: ["other"] };
		await owner.query(`alter role ${workerRole} set default_transaction_read_only = on`);
		try {
			const away = { name: "DatabaseUnavailable", message: "test.rename: 25006" };
			await expect(db.query(rename, ["other"])).rejects.toMatchObject(away);
			await expect(db.transaction([call])).rejects.toMatchObject(away);
		} finally {
			await owner.query(`alter role ${workerRole} reset default_transaction_read_only`);
		}
		expect((await owner.query("select name from keys")).rows).toEqual([{ name: "payments" }]);
		expect(await db.query(pingStatement, [])).toHaveLength(1);
	});
});

describe("the time-outs of the worker's role", () => {
	it("leave the owner alone, but for the gateway's own", async () => {
		const show = "show statement_timeout";
		expect((await owner.query(show)).rows).toEqual([{ statement_timeout: "0" }]);
		expect(await neon(postgres.url).query(show)).toEqual([{ statement_timeout: "1min" }]);
	});

	it("leave time to announce, read and write before a change is given up", () => {
		const { databaseTimeoutMs, databaseStatementMs, databaseTransactionMs } = limits;
		expect(databaseStatementMs).toBeLessThan(databaseTimeoutMs);
		expect(databaseStatementMs).toBeLessThan(databaseTransactionMs); // or the server ignores it
		expect(2 * databaseTimeoutMs + databaseTransactionMs).toBeLessThan(limits.changeTimeoutMs);
	});

	it("are the ones that the guide sets at Neon", async () => {
		const guide = await readFile("docs/guides/deploy.md", "utf8");
		const found = guide.matchAll(/alter role edgesign_worker set (\w+) = '(\d+)s';/g);
		const settings = [...found].map(([, name, seconds]) => [name, Number(seconds) * 1000]);
		expect(Object.fromEntries(settings)).toEqual(workerTimeouts);
	});
});

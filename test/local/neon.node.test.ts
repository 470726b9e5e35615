import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, NeonDbError, neon, neonConfig, Pool } from "@neondatabase/serverless";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type NeonGateway, startNeonGateway } from "../../local/neon.ts";
import { type RunningPostgres, startPostgres } from "../../local/postgres.ts";
import { endProcess } from "../../local/processes.ts";
import { newDataDir } from "../support/node/data-dir.ts";

let dataDir: string;
let postgres: RunningPostgres;
let gateway: NeonGateway;
/** Straight to the server, to see what the gateway did there. */
let owner: pg.Client;

function pointDriverAt({ url }: NeonGateway): void {
	neonConfig.fetchEndpoint = `${url}/sql`;
	neonConfig.wsProxy = `${new URL(url).host}/v2`;
	neonConfig.useSecureWebSocket = false;
	neonConfig.pipelineConnect = false;
}

async function connectOwner(): Promise<pg.Client> {
	const client = new pg.Client(postgres.url);
	client.on("error", () => {});
	await client.connect();
	return client;
}

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	gateway = await startNeonGateway({ databaseUrl: postgres.url });
	pointDriverAt(gateway);
	owner = await connectOwner();
}, 90_000);

afterAll(async () => {
	await owner.end();
	await gateway.stop();
	await postgres.stop();
	await rm(dataDir, { recursive: true, force: true });
}, 30_000);

beforeEach(async () => {
	await owner.query("drop table if exists item");
	await owner.query(
		"create table item (id int8 primary key, name text constraint item_name_key unique not null)",
	);
});

function urlWith(change: (url: URL) => void): string {
	const url = new URL(postgres.url);
	change(url);
	return url.href;
}

/** Rejections as the driver throws them. */
async function errorOf(work: Promise<unknown>): Promise<NeonDbError> {
	const outcome = await work.then(
		() => undefined,
		(error: unknown) => error,
	);
	expect(outcome).toBeInstanceOf(NeonDbError);
	return outcome as NeonDbError;
}

async function countItems(): Promise<number> {
	const { rows } = await owner.query<{ count: string }>("select count(*) from item");
	return Number(rows[0]?.count);
}

/** Waits until the query has this many rows; the server notices some things a moment later. */
async function untilRows(count: number, query: string): Promise<void> {
	await expect.poll(async () => (await owner.query(query)).rowCount, { interval: 20 }).toBe(count);
}

/** What the driver would send, without the driver. */
async function post(body: string, headers: Record<string, string> = {}) {
	const response = await fetch(`${gateway.url}/sql`, {
		method: "POST",
		body,
		headers: { "Neon-Connection-String": postgres.url, ...headers },
	});
	return { status: response.status, headers: response.headers, json: await response.json() };
}

describe("one query over HTTP", () => {
	it("gives every type as the driver knows it", async () => {
		const sql = neon(postgres.url);
		const [row] = await sql`select 9007199254740993::int8 as int8, 7::int4 as int4, 1.5::float8 as
			float8, 1.50::numeric as "numeric", true as bool, '\\x00ff10'::bytea as bytea,
			'{"a":[1,null]}'::jsonb as jsonb, '2026-01-02 03:04:05.678+00'::timestamptz as at,
			'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as uuid, array['a','b,"c',null] as texts,
			null::text as nothing, '' as empty, 'ü€😀' as text`;
		expect(row).toEqual({
			int8: "9007199254740993",
			int4: 7,
			float8: 1.5,
			numeric: "1.50",
			bool: true,
			bytea: Buffer.from([0, 255, 16]),
			jsonb: { a: [1, null] },
			at: new Date("2026-01-02T03:04:05.678Z"),
			uuid: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
			texts: ["a", 'b,"c', null],
			nothing: null,
			empty: "",
			text: "ü€😀",
		});
	});

	it("takes parameters of every type", async () => {
		const sql = neon(postgres.url);
		const at = new Date("2026-01-02T03:04:05.678Z");
		const values = [
			9007199254740993n,
			Buffer.from([0, 1, 255]),
			{ a: 1 },
			at,
			["x", null],
			null,
			false,
		];
		const [row] = await sql.query(
			"select $1::int8 as a, $2::bytea as b, $3::jsonb as c, $4::timestamptz as d, $5::text[] as e, $6::text as f, $7::bool as g",
			values.map((value) => (typeof value === "bigint" ? value.toString() : value)),
		);
		expect(row).toEqual({
			a: "9007199254740993",
			b: Buffer.from([0, 1, 255]),
			c: { a: 1 },
			d: at,
			e: ["x", null],
			f: null,
			g: false,
		});
	});

	it("tells the command, the row count and the columns", async () => {
		const sql = neon(postgres.url, { fullResults: true });
		const inserted = await sql`insert into item values (1, 'a'), (2, 'b')`;
		expect(inserted).toMatchObject({ command: "INSERT", rowCount: 2, rows: [], fields: [] });
		const selected = await sql`select id, name from item order by id`;
		expect(selected).toMatchObject({
			command: "SELECT",
			rowCount: 2,
			fields: [
				{ name: "id", dataTypeID: 20 },
				{ name: "name", dataTypeID: 25 },
			],
			rows: [
				{ id: "1", name: "a" },
				{ id: "2", name: "b" },
			],
		});
		expect(await sql`create temp table t (i int)`).toMatchObject({
			command: "CREATE",
			rowCount: null,
		});
		expect(await sql.query("")).toMatchObject({ command: "", rowCount: null, rows: [] });
	});

	it("gives rows as arrays when they are asked for", async () => {
		const sql = neon(postgres.url, { arrayMode: true });
		expect(await sql`select 1 as same, 2 as same`).toEqual([[1, 2]]);
	});

	it("answers as JSON has it where the driver's headers are missing", async () => {
		const query = `select 1::int4 as i, 2::int8 as big, true as b, 'NaN'::float8 as f, 0.5::float4 as
			half, '{"a":1}'::jsonb as j, array[array[1,null],array[3,4]] as a, 't' as t, null::int as n`;
		const { status, headers, json } = await post(JSON.stringify({ query }));
		expect(status).toBe(200);
		expect(headers.get("content-type")).toBe("application/json");
		expect(json).toMatchObject({ rowAsArray: false, command: "SELECT", rowCount: 1 });
		const a = [
			[1, null],
			[3, 4],
		];
		expect(json).toHaveProperty("rows", [
			{ i: 1, big: "2", b: true, f: "NaN", half: 0.5, j: { a: 1 }, a, t: "t", n: null },
		]);
	});

	it("takes one statement only", async () => {
		const error = await errorOf(neon(postgres.url).query("select 1; select 2"));
		expect(error.code).toBe("42601");
	});

	it("writes 5,000 rows by unnest and reads them back", async () => {
		const ids = Array.from({ length: 5_000 }, (_, i) => i);
		const names = ids.map((id) => `name "${id}", \\ {ü}`);
		const sql = neon(postgres.url);
		await sql`insert into item select * from unnest(${ids}::int8[], ${names}::text[])`;
		const rows = await sql`select id::int4 as id, name from item order by item.id`;
		expect(rows).toEqual(ids.map((id, i) => ({ id, name: names[i] })));
	});

	it("answers over a connection that stays open", async () => {
		const agent = new Agent({ keepAlive: true, maxSockets: 1 });
		const reused: boolean[] = [];
		const once = () =>
			new Promise<void>((resolve, reject) => {
				const headers = { "neon-connection-string": postgres.url };
				const request = httpRequest(`${gateway.url}/sql`, { method: "POST", agent, headers });
				request.on("error", reject);
				request.on("response", (response) => {
					reused.push(request.reusedSocket);
					response.resume().once("end", resolve);
				});
				request.end('{"query":"select 1"}');
			});
		for (let i = 0; i < 51; i++) await once();
		agent.destroy();
		expect(reused).toEqual([false, ...Array.from({ length: 50 }, () => true)]);
	});
});

describe("a transaction over HTTP", () => {
	it("gives the result of each statement and commits", async () => {
		const sql = neon(postgres.url);
		const results = await sql.transaction([
			sql`insert into item values (1, 'a') returning id`,
			sql`select count(*)::int as count from item`,
		]);
		expect(results).toEqual([[{ id: "1" }], [{ count: 1 }]]);
		expect(await countItems()).toBe(1);
	});

	it("rolls everything back when a statement is refused", async () => {
		const sql = neon(postgres.url);
		const error = await errorOf(
			sql.transaction([
				sql`insert into item values (1, 'a')`,
				sql`insert into item values (2, 'a')`,
				sql`insert into item values (3, 'c')`,
			]),
		);
		expect(error.code).toBe("23505");
		expect(await countItems()).toBe(0);
		expect(await sql`select 1 as fine`).toEqual([{ fine: 1 }]);
	});

	it("tells why the server ended it between two statements, which a process that stalls sees at once", async () => {
		const sql = neon(postgres.url);
		const pauses = Array.from({ length: 10 }, () => sql.query("select pg_sleep(0.1)"));
		const limited = sql.transaction([
			sql.query("set local transaction_timeout = '300ms'"),
			...pauses,
		]);
		const stalled = setTimeout(() => {
			const end = performance.now() + 1_000;
			while (performance.now() < end);
		}, 200);
		await expect(limited).rejects.toMatchObject({ code: "25P04" });
		clearTimeout(stalled);
	});

	it("reports what only the commit finds", async () => {
		await owner.query(
			"alter table item add parent int8 references item deferrable initially deferred",
		);
		const sql = neon(postgres.url);
		const error = await errorOf(sql.transaction([sql`insert into item values (1, 'a', 99)`]));
		expect(error).toMatchObject({ code: "23503", constraint: "item_parent_fkey" });
		expect(await countItems()).toBe(0);
	});

	it.each(["ReadUncommitted", "ReadCommitted", "RepeatableRead", "Serializable"] as const)(
		"runs at the isolation level %s",
		async (isolationLevel) => {
			const sql = neon(postgres.url);
			const show = sql`select replace(current_setting('transaction_isolation'), ' ', '') as level`;
			const [rows] = await sql.transaction([show], { isolationLevel });
			expect(rows).toEqual([{ level: isolationLevel.toLowerCase() }]);
		},
	);

	it("is read only and deferrable when it should be, and says so", async () => {
		const sql = neon(postgres.url);
		const error = await errorOf(
			sql.transaction([sql`insert into item values (1, 'a')`], { readOnly: true }),
		);
		expect(error.code).toBe("25006");
		const show = "select current_setting('transaction_deferrable') as d";
		const answer = await post(JSON.stringify({ queries: [{ query: show }] }), {
			"Neon-Batch-Isolation-Level": "Serializable",
			"Neon-Batch-Read-Only": "true",
			"Neon-Batch-Deferrable": "true",
		});
		expect(answer.json).toMatchObject({ results: [{ rows: [{ d: "on" }] }] });
		expect(answer.headers.get("neon-batch-isolation-level")).toBe("Serializable");
		expect(answer.headers.get("neon-batch-read-only")).toBe("true");
	});

	it("refuses an isolation level that is none", async () => {
		const headers = { "Neon-Batch-Isolation-Level": "SERIALIZABLE; drop table item" };
		const { status, json } = await post('{"queries":[{"query":"select 1"}]}', headers);
		expect(status).toBe(400);
		expect(json).toMatchObject({ message: "invalid isolation level", code: null });
	});
});

describe("what PostgreSQL refuses", () => {
	it("comes with every field of its error", async () => {
		const sql = neon(postgres.url);
		await sql`insert into item values (1, 'a')`;
		const error = await errorOf(sql`insert into item values (2, 'a')`);
		expect(error).toMatchObject({
			message: 'duplicate key value violates unique constraint "item_name_key"',
			code: "23505",
			severity: "ERROR",
			detail: "Key (name)=(a) already exists.",
			schema: "public",
			table: "item",
			constraint: "item_name_key",
		});
		expect(await errorOf(sql`insert into item (id) values (3)`)).toMatchObject({
			code: "23502",
			column: "name",
		});
		expect(await errorOf(sql.query("select nme from item"))).toMatchObject({
			code: "42703",
			position: "8",
			hint: 'Perhaps you meant to reference the column "item.name".',
		});
	});

	it("does not cost the connection it ran on", async () => {
		const sql = neon(postgres.url);
		const [before] = await sql`select pg_backend_pid() as pid`;
		await errorOf(sql`select 1 / 0`);
		expect(await sql`select pg_backend_pid() as pid`).toEqual([before]);
	});
});

describe("who may ask", () => {
	it("is decided by PostgreSQL with the password that was sent", async () => {
		expect(await neon(postgres.url)`select 1 as ok`).toEqual([{ ok: 1 }]);
		const wrong = urlWith((url) => {
			url.password = "wrong";
		});
		for (let i = 0; i < 3; i++) {
			expect(await errorOf(neon(wrong)`select 1`)).toMatchObject({
				code: "28P01",
				severity: "FATAL",
				message: 'password authentication failed for user "edgesign"',
			});
		}
	});

	it("is not answered with the rights of another user", async () => {
		await owner.query("drop role if exists guest");
		await owner.query(`create role guest login password 'p@ss/wörd:%'`);
		const guest = urlWith((url) => {
			url.username = "guest";
			url.password = encodeURIComponent("p@ss/wörd:%");
		});
		expect(await neon(guest)`select current_user as name`).toEqual([{ name: "guest" }]);
		expect(await errorOf(neon(guest)`select * from item`)).toMatchObject({ code: "42501" });
		await owner.query("alter role guest connection limit 0");
	});

	it.each([
		["an empty password", (url: URL) => (url.password = ""), 400, "password authentication failed"],
		["a role that is not there", (url: URL) => (url.username = "nobody"), 400, "password"],
		["a database that is not there", (url: URL) => (url.pathname = "/none"), 400, "does not exist"],
		["no user", (url: URL) => (url.username = ""), 400, "invalid connection string"],
	])("is told no for %s", async (_, change, status, message) => {
		const url = urlWith(change);
		const answer = await post('{"query":"select 1"}', { "Neon-Connection-String": url });
		expect(answer.status).toBe(status);
		expect(answer.json).toMatchObject({ message: expect.stringContaining(message) });
		expect(JSON.stringify(answer.json)).not.toContain(new URL(postgres.url).password);
	});

	it("does not lose their connections to others' wrong passwords", async () => {
		const sql = neon(postgres.url);
		const [before] = await sql`select pg_backend_pid() as pid`;
		for (let i = 0; i < 12; i++) {
			const wrong = urlWith((url) => {
				url.password = `wrong${i}`;
			});
			await errorOf(neon(wrong)`select 1`);
		}
		expect(await sql`select pg_backend_pid() as pid`).toEqual([before]);
	});

	it("shares a bounded number of connections", async () => {
		const names = Array.from({ length: 20 }, (_, i) => `many${i}`);
		for (const name of names) {
			const url = urlWith(({ searchParams }) => searchParams.set("application_name", name));
			const [row] = await neon(url)`select current_setting('application_name') as name`;
			expect(row).toEqual({ name });
		}
		await untilRows(8, "select 1 from pg_stat_activity where application_name like 'many%'");
		const ids = Array.from(
			{ length: 100 },
			() => neon(postgres.url)`select pg_backend_pid() as pid`,
		);
		const pids = (await Promise.all(ids)).map(([row]) => row?.pid);
		expect(new Set(pids).size).toBeLessThanOrEqual(10);
	});
});

describe("a malformed request", () => {
	it.each([
		["no JSON", "{", "the body is not JSON"],
		["no object", "[]", "a statement must be"],
		["null", "null", "a statement must be"],
		["a query that is no string", '{"query":1}', "a statement must be"],
		["params that are no array", '{"query":"select 1","params":{}}', "params must be an array"],
		["queries that are no array", '{"queries":{}}', "queries must be an array"],
		["a statement that is none", '{"queries":["select 1"]}', "a statement must be"],
		["too many parameters", JSON.stringify({ query: "", params: Array(65_536).fill(1) }), "65535"],
		[
			"too many statements",
			JSON.stringify({ queries: Array(10_001).fill({ query: "" }) }),
			"10000",
		],
	])("is refused: %s", async (_, body, message) => {
		const { status, json } = await post(body);
		expect(status).toBe(400);
		expect(json).toMatchObject({ message: expect.stringContaining(message), code: null });
	});

	it("is refused without the header that says who asks, and in other places", async () => {
		const { url } = gateway;
		const body = '{"query":"select 1"}';
		expect((await fetch(`${url}/sql`, { method: "POST", body })).status).toBe(400);
		expect((await fetch(`${url}/other`, { method: "POST", body })).status).toBe(404);
		expect((await fetch(`${url}/sql`)).status).toBe(405);
		const headers = { "Neon-Connection-String": "mysql://u:secret@h/d" };
		const answer = await post(body, headers);
		expect(answer.status).toBe(400);
		expect(JSON.stringify(answer.json)).not.toContain("secret");
	});

	it("is refused when it is over 64 MiB", async () => {
		const { status, json } = await post("x".repeat(64 * 1024 * 1024 + 1));
		expect(status).toBe(413);
		expect(json).toMatchObject({ message: "request is too large (max is 67108864 bytes)" });
	}, 20_000);
});

describe("a statement that goes too far", () => {
	it("is stopped when its answer grows over 64 MiB", async () => {
		const sql = neon(postgres.url);
		const endless = sql`select repeat('x', 1048576) from generate_series(1, 1000000)`;
		const error = await errorOf(endless);
		expect(error.message).toContain("507");
		expect(error.message).toContain("response is too large");
		await untilRows(
			0,
			"select 1 from pg_stat_activity where state = 'active' and query like '%repeat(%' and pid <> pg_backend_pid()",
		);
		expect(await sql`select 1 as fine`).toEqual([{ fine: 1 }]);
	});

	it("is stopped by the statement timeout", async () => {
		const hasty = await startNeonGateway({ databaseUrl: postgres.url, statementTimeoutMs: 1_000 });
		try {
			pointDriverAt(hasty);
			const sql = neon(postgres.url);
			expect(await errorOf(sql`select pg_sleep(30)`)).toMatchObject({ code: "57014" });
			// Where the machine stalls, this one may be stopped too.
			await expect.poll(() => sql`select 1 as fine`).toEqual([{ fine: 1 }]);
		} finally {
			pointDriverAt(gateway);
			await hasty.stop();
		}
	});

	it("is cancelled when its caller goes, and its connection closed", async () => {
		const sleeping =
			"select pid from pg_stat_activity where query = 'select pg_sleep(31)' and state = 'active'";
		const caller = new AbortController();
		const sql = neon(postgres.url);
		const fetchOptions = { signal: caller.signal };
		const asked = errorOf(sql.query("select pg_sleep(31)", [], { fetchOptions }));
		await untilRows(1, sleeping);
		const { rows } = await owner.query<{ pid: number }>(sleeping);
		caller.abort();
		await asked;
		await untilRows(0, `select 1 from pg_stat_activity where pid = ${rows[0]?.pid}`);
	});

	it("leaves nothing of a transaction whose caller goes", async () => {
		const caller = new AbortController();
		const sql = neon(postgres.url);
		const asked = errorOf(
			sql.transaction([sql`insert into item values (1, 'a')`, sql`select pg_sleep(32)`], {
				fetchOptions: { signal: caller.signal },
			}),
		);
		const open =
			"select 1 from pg_stat_activity where query = 'select pg_sleep(32)' and xact_start is not null";
		await untilRows(1, open);
		caller.abort();
		await asked;
		await untilRows(0, open);
		expect(await countItems()).toBe(0);
	});

	it("leaves no setting and no open transaction to the next caller", async () => {
		const sql = neon(postgres.url);
		await sql`set application_name = 'left over'`;
		await sql`begin`;
		await errorOf(sql.transaction([sql`prepare left_over as select 1`, sql`select 1 / 0`]));
		const rows = await sql`select current_setting('application_name') as name,
			(select count(*)::int from pg_prepared_statements) as prepared`;
		expect(rows).toEqual([{ name: "pkg:npm/%40neondatabase/serverless@1.2.0", prepared: 0 }]);
		await untilRows(0, "select 1 from pg_stat_activity where state like 'idle in transaction%'");
	});
});

describe("the WebSocket form", () => {
	it("carries an interactive transaction", async () => {
		const pool = new Pool({ connectionString: postgres.url });
		const client = await pool.connect();
		await client.query("begin");
		await client.query("insert into item values ($1, $2)", [1, "a"]);
		expect(await countItems()).toBe(0);
		await client.query("commit");
		expect(await countItems()).toBe(1);
		await client.query("begin");
		await client.query("delete from item");
		await client.query("rollback");
		client.release();
		await pool.end();
		expect(await countItems()).toBe(1);
	});

	it("carries many connections at once", async () => {
		const pool = new Pool({ connectionString: postgres.url, max: 10 });
		const asked = Array.from({ length: 100 }, (_, i) => pool.query("select $1::int as i", [i]));
		const results = await Promise.all(asked);
		expect(results.map(({ rows }) => rows[0]?.i)).toEqual(asked.map((_, i) => i));
		await pool.end();
	});

	it("passes on large values in both directions unchanged", async () => {
		const client = new Client(postgres.url);
		await client.connect();
		const value = Buffer.alloc(5 * 1024 * 1024, "0123456789abcdefg");
		const { rows } = await client.query("select md5($1::bytea) as md5, $1::bytea as same", [value]);
		expect(rows[0]?.md5).toBe(createHash("md5").update(value).digest("hex"));
		expect(value.equals(rows[0]?.same)).toBe(true);
		await client.end();
	}, 20_000);

	it("brings notifications", async () => {
		const client = new Client(postgres.url);
		await client.connect();
		await client.query("listen news");
		const heard = new Promise((resolve) => {
			client.on("notification", ({ payload }) => resolve(payload));
		});
		await owner.query("select pg_notify('news', 'hello')");
		expect(await heard).toBe("hello");
		await client.end();
	});

	it("brings PostgreSQL's refusal of a wrong password", async () => {
		const wrong = urlWith((url) => {
			url.password = "wrong";
		});
		const client = new Client(wrong);
		client.on("error", () => {});
		await expect(client.connect()).rejects.toMatchObject({ code: "28P01" });
	});

	it("closes each end with the other", async () => {
		const connect = async (name: string) => {
			const client = new Client(
				urlWith(({ searchParams }) => searchParams.set("application_name", name)),
			);
			await client.connect();
			return client;
		};
		const polite = await connect("polite");
		await untilRows(1, "select 1 from pg_stat_activity where application_name = 'polite'");
		await polite.end();
		await untilRows(0, "select 1 from pg_stat_activity where application_name = 'polite'");
		const ended = await connect("ended");
		const told = new Promise((resolve) => ended.on("error", resolve));
		await owner.query(
			"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ended'",
		);
		expect(await told).toMatchObject({ code: "57P01" });
	});

	it("waits for a slow reader instead of filling memory", async () => {
		const opened: WebSocket[] = [];
		class SlowWebSocket extends WebSocket {
			constructor(address: string) {
				super(address);
				opened.push(this);
			}
		}
		neonConfig.webSocketConstructor = SlowWebSocket as unknown as typeof globalThis.WebSocket;
		const client = new Client(postgres.url);
		client.on("error", () => {});
		await client.connect();
		neonConfig.webSocketConstructor = undefined;
		const before = process.memoryUsage().arrayBuffers;
		const asked = client
			.query("select repeat('x', 1000000) from generate_series(1, 300)")
			.catch(() => undefined);
		await sleep(10); // the driver sends in a later turn
		opened[0]?.pause();
		await sleep(500);
		const grownMiB = (process.memoryUsage().arrayBuffers - before) / 1024 / 1024;
		expect(grownMiB).toBeLessThan(100);
		opened[0]?.terminate();
		await asked;
	});

	it("is found at /v2 only", async () => {
		const socket = new WebSocket(`${gateway.url.replace("http", "ws")}/v1?address=db:5432`);
		const refused = new Promise((resolve) => socket.on("error", resolve));
		expect(String(await refused)).toContain("404");
	});
});

describe("when PostgreSQL goes away", () => {
	/** Until it is back: what each of the two forms says meanwhile. */
	async function whileDown(): Promise<void> {
		const error = await errorOf(neon(postgres.url)`select 1`);
		expect(error.message).toMatch(/HTTP status 500.*no connection to the database/);
		const client = new Client(postgres.url);
		client.on("error", () => {});
		// Node's own does not say why.
		neonConfig.webSocketConstructor = WebSocket as unknown as typeof globalThis.WebSocket;
		await expect(client.connect()).rejects.toMatchObject({
			message: "Unexpected server response: 502",
		});
		neonConfig.webSocketConstructor = undefined;
	}

	async function bringBack(): Promise<void> {
		const port = Number(new URL(postgres.url).port);
		postgres = await startPostgres({ dataDir, port, durable: false });
		owner = await connectOwner();
	}

	it("says so, ends what was under way, and works again after a restart", async () => {
		const sql = neon(postgres.url);
		await Promise.all(Array.from({ length: 10 }, () => sql`select pg_sleep(0.05)`));
		const pool = new Pool({ connectionString: postgres.url });
		pool.on("error", () => {});
		await pool.query("select 1");
		const asked = errorOf(sql`select pg_sleep(33)`);
		await untilRows(1, "select 1 from pg_stat_activity where query = 'select pg_sleep(33)'");
		await postgres.stop();
		expect((await asked).code).toBe("57P01");
		await whileDown();
		await bringBack();
		expect(await sql`select 1 as back`).toEqual([{ back: 1 }]);
		expect((await pool.query("select 1 as back")).rows).toEqual([{ back: 1 }]);
		await pool.end();
	}, 60_000);

	it("survives the server being killed in the middle of a query", async () => {
		const sql = neon(postgres.url);
		const asked = errorOf(sql`select pg_sleep(34)`);
		await untilRows(1, "select 1 from pg_stat_activity where query = 'select pg_sleep(34)'");
		const { rows } = await owner.query<{ pid: number }>(
			"select pid from pg_stat_activity where pid is not null",
		);
		await endProcess(postgres.pid, [["SIGKILL", 5_000]]);
		for (const { pid } of rows) await endProcess(pid, [["SIGKILL", 5_000]]);
		expect((await asked).message).toContain("HTTP status 500");
		await whileDown();
		await bringBack();
		expect(await sql`select 1 as back`).toEqual([{ back: 1 }]);
	}, 60_000);
});

describe("stopping", () => {
	it("lets a query end, and cuts off one that does not", async () => {
		const own = await startNeonGateway({ databaseUrl: postgres.url });
		const ask = (query: string) =>
			fetch(`${own.url}/sql`, {
				method: "POST",
				body: JSON.stringify({ query }),
				headers: { "Neon-Connection-String": postgres.url },
			}).then(
				({ status }) => status,
				() => "cut off",
			);
		await owner.query("select pg_advisory_lock(35)");
		const short = ask("select pg_advisory_xact_lock(35)");
		const long = ask("select pg_sleep(35)");
		const waiting =
			"select 1 from pg_stat_activity where query like 'select pg_%(35)' and state = 'active'";
		await untilRows(2, waiting);
		const stopped = own.stop();
		await owner.query("select pg_advisory_unlock(35)");
		await stopped;
		expect(await short).toBe(200);
		expect(await long).toBe("cut off");
		expect(await ask("select 1")).toBe("cut off");
		await untilRows(0, waiting);
	});

	it("closes the tunnels", async () => {
		const own = await startNeonGateway({ databaseUrl: postgres.url });
		pointDriverAt(own);
		const client = new Client(postgres.url);
		const told = new Promise<Error>((resolve) => client.on("error", resolve));
		await client.connect();
		pointDriverAt(gateway);
		await own.stop();
		expect((await told).message).toContain("terminated");
	});

	it("says in one line that a port is taken", async () => {
		const port = Number(new URL(gateway.url).port);
		await expect(startNeonGateway({ databaseUrl: postgres.url, port })).rejects.toThrow(
			`port ${port} is in use`,
		);
	});
});

import { createHash, randomUUID } from "node:crypto";
import { globSync, readFileSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, it, vi } from "vitest";
import { type Stack, startStack } from "../../local/stack.ts";
import { type Manifest, payloadOf } from "../../src/audit/manifest.ts";
import { openParquet, readRecords } from "../../src/audit/parquet.ts";
import { newDataDir } from "../support/node/data-dir.ts";
import { processWith } from "../support/node/processes.ts";

/** Three files, each of which may be the one at which it is killed. */
const records = 20_000;
const kills = 2;
/** Younger than what goes to the archive by itself, and older than AUDIT_HOT_DAYS here. */
const daysAgo = 10;
const dayMs = 24 * 3600 * 1000;
const begins = Math.floor(Date.now() / dayMs) * dayMs - daysAgo * dayMs;
const [first, next] = [begins, begins + dayMs].map((time) => new Date(time).toISOString());
const partition = `audit_events_${first?.slice(0, 10).replaceAll("-", "")}`;
const tag = randomUUID();
let dataDir: string;
let stack: Stack;
let database: pg.Client;
let restarts = 0;

beforeAll(async () => {
	process.env.EDGESIGN_TEST_TAG = tag;
	vi.stubEnv("AUDIT_HOT_DAYS", String(daysAgo - 5));
	dataDir = await newDataDir();
	const onEvent = (line: string) => {
		if (!line.startsWith("the cron run")) restarts++;
	};
	const known = { dataDir, bundleDir: inject("bundleDir"), spareKeys: false, durable: false };
	stack = await startStack({ ...known, port: 0, edges: 2, onEvent });
	database = new pg.Client(stack.databaseUrl);
	await database.connect();
	await database.query(
		`create table ${partition} partition of audit_events for values from ('${first}') to ('${next}')`,
	);
	// Ids of version 7 that have the time in them, as the log's have; and every other place of a chain, because a
	// link is not looked at where the one before it is not there.
	await database.query(
		`insert into audit_events (tenant_id, at, id, request_id, token_id, action, target_id,
			target_name, version, algorithm, address, input_kind, input, signature, cost, outcome,
			chain, sequence, link)
		select 'main', 'epoch'::timestamptz + t * interval '1 millisecond',
			(lpad(to_hex(t), 12, '0') || '7000' || '8' || substr(md5(n::text), 1, 15))::uuid,
			gen_random_uuid(), null, 'sign', gen_random_uuid(), 'key-' || n % 100, 1, 'Ed25519',
			'192.0.2.1', 'message', sha256(n::text::bytea), sha256(n::text::bytea), 100, 'ok',
			'01900000-0000-7000-8000-000000000001', 2 * n, sha256(n::text::bytea)
		from (select n, ${begins} + n * 2000::bigint as t from generate_series(1, $1) n) numbers`,
		[records],
	);
});
afterAll(async () => {
	vi.unstubAllEnvs();
	await database?.end();
	await stack?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

async function partsNow(): Promise<number> {
	const { rows } = await database.query("select parts from audit_archives");
	return rows[0]?.parts ?? 0;
}

async function isDropped(): Promise<boolean> {
	const { rows } = await database.query("select to_regclass($1) as name", [partition]);
	return rows[0].name === null;
}

/** What R2 has, by its SHA-256: it keeps each object in a file. */
function objects(): Map<string, Buffer> {
	const files = globSync("runtime/**/blobs/**", { cwd: dataDir }).map((file) =>
		join(dataDir, file),
	);
	const found = new Map<string, Buffer>();
	for (const file of files.filter((file) => statSync(file).isFile())) {
		const bytes = readFileSync(file);
		found.set(createHash("sha256").update(bytes).digest("hex"), bytes);
	}
	return found;
}

it("an archiver whose runtime is killed archives every record once", async () => {
	const ids = (await database.query("select id from audit_events order by id")).rows;
	for (let killed = 0; !(await isDropped()); ) {
		const before = await partsNow();
		let goesOn = true;
		const run = stack.scheduled("* * * * *", 0).then(
			() => (goesOn = false),
			() => (goesOn = false),
		);
		while (goesOn && (killed === kills || (await partsNow()) === before)) await sleep(20);
		if (goesOn) {
			process.kill(processWith(tag, "workerd serve"), "SIGKILL");
			killed++;
			await expect.poll(() => restarts, { timeout: 20_000 }).toBe(killed);
		}
		await Promise.race([run, sleep(5000)]);
	}
	expect(restarts).toBe(kills);
	const stored = objects();
	const jws = [...stored.values()].find((bytes) => bytes.subarray(0, 2).toString() === "ey");
	const payload = new TextDecoder().decode(payloadOf(String(jws)) ?? undefined);
	const manifest = JSON.parse(payload) as Manifest;
	expect(manifest.records).toBe(records);
	const archived: string[] = [];
	for (const { sha256 } of manifest.files) {
		const bytes = new Uint8Array(stored.get(sha256) ?? new Uint8Array()).buffer;
		const slice = (from: number, to?: number) => bytes.slice(from, to);
		const parquet = await openParquet({ byteLength: bytes.byteLength, slice });
		for (const { record } of await readRecords(parquet)) archived.push(record.id);
	}
	expect(archived).toEqual(ids.map(({ id }) => id));
}, 180_000);

interface Page {
	readonly records: readonly { readonly id: string }[];
	readonly nextCursor: string | null;
}

it("what it has archived is told at every location, each record once", async () => {
	const found: string[] = [];
	let asked = 0;
	const ask = async <Answer>(path: string, status = 200) => {
		const headers = { authorization: `Bearer ${stack.admin.token}` };
		const answer = await fetch(`${stack.urls[asked++ % 2]}${path}`, { headers });
		expect(answer.status).toBe(status);
		return (await answer.json()) as Answer;
	};
	for (let query: string | null = `limit=200&to=${next}`; query !== null; ) {
		const page: Page = await ask<Page>(`/v1/audit?${query}`);
		for (const { id } of page.records) found.push(id);
		const after: string | null = page.nextCursor;
		query = after && `limit=200&to=${next}&cursor=${encodeURIComponent(after)}`;
	}
	expect(found.length).toBe(records);
	expect(found).toEqual(found.toSorted().reverse());
	expect(new Set(found).size).toBe(records);
	// But whose they are nobody knows: they were written to Postgres by hand.
	const { code } = await ask<{ code: unknown }>(`/v1/audit/records/${found[0]}/proof`, 500);
	expect(code).toBe("audit_chain_broken");
}, 120_000);

import { createHash, randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Stack, startStack } from "../../local/stack.ts";
import { chainStart, leafOf, linked } from "../../src/audit/chain.ts";
import { encodeAppend, firstId, splitAppend } from "../../src/audit/record.ts";
import { processWith } from "../support/node/processes.ts";
import { newDataDir } from "../support/node/stack.ts";

const kills = 3;
const callers = 12;
const tag = randomUUID();

let dataDir: string;
let stack: Stack;
let token: string;
let database: pg.Client;
let restarts = 0;

beforeAll(async () => {
	process.env.EDGESIGN_TEST_TAG = tag;
	dataDir = await newDataDir();
	const onEvent = () => {
		restarts++;
	};
	stack = await startStack({ dataDir, port: 0, edges: 2, durable: false, onEvent });
	token = (await readFile(stack.adminTokenFile, "utf8")).trim();
	database = new pg.Client(stack.databaseUrl);
	await database.connect();
	await call("/v1/keys", { name: "log", algorithm: "ES256" });
});
afterAll(async () => {
	await database?.end();
	await stack?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

async function call(path: string, json: unknown, idempotencyKey?: string, edge = 0) {
	const response = await fetch(`${stack.urls[edge]}${path}`, {
		method: "POST",
		headers: {
			authorization: `Bearer ${token}`,
			"content-type": "application/json",
			...(idempotencyKey && { "idempotency-key": idempotencyKey }),
		},
		body: JSON.stringify(json),
		signal: AbortSignal.timeout(10_000),
	});
	return { status: response.status, json: (await response.json()) as { results: Signed[] } };
}

interface Signed {
	readonly signature: string;
}

/** Digests of every signature that a caller was given. */
const ledger: string[] = [];

/** Signs until it is told to stop; with a key it repeats a request until it has its answer. */
async function sign(caller: number, goesOn: () => boolean): Promise<void> {
	for (let count = 0; goesOn(); count++) {
		const isKeyed = count % 2 === 0;
		const idempotencyKey = isKeyed ? randomUUID() : undefined;
		const items = [1, 2, 3].map((item) => ({ message: btoa(`${caller} ${count} ${item}`) }));
		for (let attempt = 0; attempt < (isKeyed ? 60 : 1); attempt++) {
			const edge = (caller + attempt) % stack.urls.length;
			const answer = await call("/v1/keys/log/sign-batch", { items }, idempotencyKey, edge).catch(
				() => null,
			);
			if (answer?.status === 200) {
				for (const { signature } of answer.json.results) {
					ledger.push(createHash("sha256").update(Buffer.from(signature, "base64")).digest("hex"));
				}
				break;
			}
			await sleep(200);
		}
	}
}

async function count(query: string): Promise<number> {
	const { rows } = await database.query<{ n: number }>(`select count(*)::int as n from ${query}`);
	return rows[0]?.n ?? -1;
}

/** Resolves when the log has been still for a while. */
async function settled(): Promise<void> {
	for (let before = -1, same = 0; same < 6; await sleep(500)) {
		const now = await count("audit_events");
		same = now === before ? same + 1 : 0;
		before = now;
	}
}

it("has each signature that a caller was given once, though workerd is killed again and again", async () => {
	let goesOn = true;
	const signing = Array.from({ length: callers }, (_, caller) => sign(caller, () => goesOn));
	for (let kill = 0; kill < kills; kill++) {
		await sleep(1500 + 500 * kill);
		process.kill(processWith(tag, "workerd serve"), "SIGKILL");
		await expect.poll(() => restarts, { timeout: 20_000 }).toBe(kill + 1);
	}
	await sleep(1500);
	goesOn = false;
	// What was made under a key that stalled waits for 30 s; those callers are not waited for.
	await Promise.race([Promise.all(signing), sleep(35_000)]);
	await settled();

	const { rows } = await database.query<{ signature: string; n: number }>(
		`select encode(signature, 'hex') as signature, count(*)::int as n from audit_events
		where action = 'signBatch' group by 1`,
	);
	const recorded = new Map(rows.map(({ signature, n }) => [signature, n]));
	expect(ledger.length).toBeGreaterThan(100);
	expect(new Set(ledger).size).toBe(ledger.length);
	expect(ledger.filter((signature) => recorded.get(signature) !== 1)).toEqual([]);
	expect(rows.filter(({ n }) => n !== 1)).toEqual([]);
	expect(await breaks()).toEqual([]);
	expect(await count("audit_events where action = 'createKey'")).toBe(1);
}, 120_000);

it("moves what was written before workerd was killed, though nobody asks for anything", async () => {
	const before = await count("audit_events");
	const answer = await call("/v1/keys/log/sign-batch", { items: [{ message: "aGVsbG8=" }] });
	process.kill(processWith(tag, "workerd serve"), "SIGKILL");
	expect(answer.status).toBe(200);
	await expect.poll(() => count("audit_events"), { timeout: 30_000 }).toBe(before + 1);
	expect(await breaks()).toEqual([]);
}, 60_000);

/** Where a chain in Postgres is not what its records make. */
async function breaks(): Promise<string[]> {
	const chains = await database.query("select * from audit_chains");
	const found: string[] = [];
	for (const chain of chains.rows) {
		let head = chainStart({ ...chain, tenant: chain.tenant_id });
		const { rows } = await database.query(
			"select * from audit_events where chain = $1 order by sequence",
			[chain.id],
		);
		for (const row of rows) {
			const target = {
				id: row.target_id,
				name: row.target_name,
				version: row.version,
				algorithm: row.algorithm,
			};
			const recordHead = {
				...row,
				id: firstId(row.id),
				requestId: row.request_id,
				tenant: row.tenant_id,
				tokenId: row.token_id,
				target,
			};
			const number = Number.parseInt(row.id.slice(15, 18), 16);
			const [record] = splitAppend(
				encodeAppend(recordHead, [{ ...row, number, inputKind: row.input_kind }]),
			);
			if (record) head = linked(head, leafOf(record));
			if (head.sequence !== Number(row.sequence) || !row.link.equals(head.link)) {
				found.push(`${chain.id} ${row.sequence}`);
			}
		}
	}
	return found;
}

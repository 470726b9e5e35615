import { rm } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seedRecords } from "../../bench/audit-records.ts";
import { migrate } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres } from "../../local/postgres.ts";
import { archivePage, unarchivedTenant } from "../../src/db/audit-archives.ts";
import { insertEvents } from "../../src/db/audit-events.ts";
import { settleOutbox } from "../../src/db/audit-outbox.ts";
import { type EventQuery, selectEvents } from "../../src/db/audit-reads.ts";
import type { Database, Param, Statement } from "../../src/db/client.ts";
import { newDataDir } from "../support/node/data-dir.ts";

const dayMs = 24 * 3600 * 1000;
const hourMs = 3600 * 1000;
const tenant = "main";
/** A day with a partition before it and behind it. */
const day = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs;
const noon = day + 12 * hourMs;

let dataDir: string;
let postgres: RunningPostgres;
let owner: pg.Client;
let targetId: string;

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	await migrate(postgres.url);
	const [onProgress, { signal }] = [() => {}, new AbortController()];
	const tenants = [tenant, "other"];
	const { url: databaseUrl } = postgres;
	await seedRecords({ databaseUrl, records: 20_000, days: 5, tenants, onProgress, signal });
	owner = new pg.Client(postgres.url);
	await owner.connect();
	await owner.query("analyze audit_events");
	const rarest = `select target_id from audit_events where tenant_id = $1
		group by 1 order by count(*), 1 limit 1`;
	targetId = (await owner.query(rarest, [tenant])).rows[0].target_id;
}, 120_000);

afterAll(async () => {
	await owner?.end();
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

/** What EXPLAIN says of a node of a plan. */
interface PlanNode {
	readonly "Node Type": string;
	readonly "Relation Name"?: string;
	readonly "Index Name"?: string;
	readonly "Actual Loops": number;
	readonly "Actual Rows": number;
	readonly "Rows Removed by Filter"?: number;
	readonly "Temp Written Blocks": number;
	readonly Plans?: readonly PlanNode[];
}

/** The plan of what is done with the database, as Postgres has carried it out. */
async function planOf(run: (db: Database) => Promise<unknown>): Promise<readonly PlanNode[]> {
	const nodes: PlanNode[] = [];
	const explained: Database = {
		async query({ with: steps, text }, params) {
			const whole = steps === undefined ? text : `with ${steps} ${text}`;
			const explain = `explain (analyze, buffers, format json) ${whole}`;
			const { rows } = await owner.query(explain, [...params]);
			nodes.push(...flattened(rows[0]["QUERY PLAN"][0].Plan));
			return [];
		},
		transaction: () => Promise.reject(new Error("one statement at a time")),
	};
	await run(explained);
	return nodes;
}

function flattened(node: PlanNode): PlanNode[] {
	return [node, ...(node.Plans ?? []).flatMap(flattened)];
}

const ofLog = (nodes: readonly PlanNode[]) =>
	nodes.filter((node) => node["Relation Name"]?.startsWith("audit_events"));
/** The partitions that were looked into, and how. */
const partitions = (nodes: readonly PlanNode[]) =>
	[...new Set(ofLog(nodes).map((node) => node["Relation Name"]))].sort();
const ways = (nodes: readonly PlanNode[]) => [
	...new Set(ofLog(nodes).map((node) => node["Node Type"])),
];
const looked = (nodes: readonly PlanNode[]) =>
	ofLog(nodes).reduce((sum, node) => {
		const each = node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0);
		return sum + each * node["Actual Loops"];
	}, 0);

const partitionOf = (at: number) =>
	`audit_events_${new Date(at).toISOString().slice(0, 10).replaceAll("-", "")}`;

const everything: EventQuery = {
	...{ targetId: null, targetName: null, tokenId: null, action: null, from: null, to: null },
	...{ before: null, limit: 50, scan: 50 },
};
const hour = { from: noon, to: noon + hourMs };
const byIndex = ["Index Scan"];

describe("a page of the log", () => {
	it.each<[string, () => Partial<EventQuery>]>([
		["key", () => ({ targetId })],
		["time alone", () => ({})],
		["name", () => ({ targetName: "key-1", scan: 20_000 })],
		["token", () => ({ tokenId: targetId, scan: 20_000 })],
		["action", () => ({ action: "rotateKey", scan: 20_000 })],
	])("of an hour, by its %s, looks into one partition by an index", async (_, filter) => {
		const query = { ...everything, ...hour, ...filter() };
		const nodes = await planOf((db) => selectEvents(db, tenant, query));
		expect(partitions(nodes)).toEqual([partitionOf(noon)]);
		// All rows of the hour may come at once, but no others.
		expect(["Index Scan", "Bitmap Heap Scan"]).toEqual(expect.arrayContaining(ways(nodes)));
	});

	it("by a key looks at no more rows than it shows", async () => {
		const query = { ...everything, ...hour, targetId };
		const nodes = await planOf((db) => selectEvents(db, tenant, query));
		expect(ofLog(nodes).map((node) => node["Index Name"])).toEqual([
			`${partitionOf(noon)}_tenant_id_target_id_at_id_idx`,
		]);
		expect(looked(nodes)).toBeLessThanOrEqual(query.limit);
	});

	it("with a cursor looks into no partition behind it", async () => {
		const before = { at: noon, id: "00000000-0000-7000-8000-000000000000" };
		const nodes = await planOf((db) => selectEvents(db, tenant, { ...everything, before }));
		const found = partitions(nodes).filter((name) => name !== "audit_events_default");
		expect(found.at(-1)).toBe(partitionOf(noon));
		expect(ways(nodes)).toEqual(byIndex);
	});

	it("of no time at all looks at no more rows than its share, and one of each partition", async () => {
		const nodes = await planOf((db) => selectEvents(db, tenant, everything));
		expect(ways(nodes)).toEqual(byIndex);
		expect(looked(nodes)).toBeLessThanOrEqual(everything.limit + partitions(nodes).length);
	});
});

describe("the archiver", () => {
	const text = new Date(day).toISOString().slice(0, 10);

	it("reads a page of a day out of one partition by its index", async () => {
		const after = { id: "00000000-0000-0000-0000-000000000000", at: noon };
		const of = { tenant, day: text };
		const nodes = await planOf((db) => archivePage(db, of, after, 100));
		expect(partitions(nodes)).toEqual([partitionOf(day)]);
		expect(ways(nodes)).toEqual(byIndex);
		expect(looked(nodes)).toBeLessThanOrEqual(100);
	});

	it("goes from tenant to tenant along the index", async () => {
		const nodes = await planOf((db) => unarchivedTenant(db, text));
		expect(partitions(nodes)).toEqual([partitionOf(day)]);
		expect(looked(nodes)).toBeLessThanOrEqual(2);
	});
});

it("notes of changes are looked for by their records' own index, each in its day", async () => {
	await owner.query(
		`insert into audit_outbox (tenant_id, id, at, place, request_id, action, address, cost)
		select tenant_id, id, at, 'main/enam/0', request_id, action, '', 0 from audit_events
		where tenant_id = $1 and at >= $2 order by at limit 20`,
		[tenant, new Date(noon)],
	);
	const nodes = await planOf((db) => settleOutbox(db, 100));
	const used = ofLog(nodes).filter((node) => node["Actual Loops"] > 0);
	expect(partitions(used)).toEqual([partitionOf(noon)]);
	expect(ways(used)).toEqual(["Index Only Scan"]);
	expect((await owner.query("select 1 from audit_outbox")).rowCount).toBe(0);
});

it("notes of changes are taken away so many at once, the oldest first", async () => {
	await owner.query(
		`insert into audit_outbox (tenant_id, id, at, place, request_id, action, address, cost, created_at)
		select tenant_id, id, at, 'main/enam/0', request_id, action, '', 0,
			now() - make_interval(secs => row_number() over (order by at))
		from audit_events where tenant_id = $1 and at >= $2 order by at limit 7`,
		[tenant, new Date(noon)],
	);
	const left = "select id from audit_outbox order by created_at desc";
	const query = async (statement: Statement, params: readonly Param[]) =>
		(await owner.query(statement.text, [...params])).rows;
	const database = { query } as unknown as Database;
	const { rows: before } = await owner.query(left);
	expect(await settleOutbox(database, 5)).toBe(5);
	expect((await owner.query(left)).rows).toEqual(before.slice(0, 2));
	expect(await settleOutbox(database, 5)).toBe(2);
});

it("a move of records that all differ writes no temporary file", async () => {
	const count = 3_000;
	const uuid = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, "0")}`;
	const numbers = Array.from({ length: count }, (_, n) => n);
	const bytes = Uint8Array.from({ length: 128 * count }, (_, at) => (at * 31 + (at >> 7)) & 0xff);
	const kinds = numbers.map((n) => ({
		...{ tokenId: uuid(n), action: "sign", targetId: uuid(n), targetName: `key-${n}`, version: 1 },
		...{
			algorithm: "Ed25519",
			address: `host-${n}`,
			inputKind: "message",
			cost: 100,
			outcome: "ok",
		},
	}));
	const times = numbers.map((n) => noon + n);
	const chain = { tenant: "differing", id: uuid(0), region: "weur", shard: 0 };
	const packed = { bytes, kinds, kindOf: numbers, times, firstSequence: 1 };
	const nodes = await planOf((db) => insertEvents(db, chain, packed));
	expect(nodes.map((node) => node["Temp Written Blocks"])).toEqual(nodes.map(() => 0));
	const stored = "select count(*)::int as n from audit_events where tenant_id = 'differing'";
	expect((await owner.query(stored)).rows[0].n).toBe(
		new Set(numbers.map((n) => idAt(bytes, n))).size,
	);
});

function idAt(bytes: Uint8Array, n: number): string {
	return Buffer.from(bytes.subarray(128 * n, 128 * n + 16)).toString("hex") + String(noon + n);
}

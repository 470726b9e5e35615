import { execFile } from "node:child_process";
import { createWriteStream } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { withDatabase } from "../local/database.ts";
import { openInspector } from "../local/inspector.ts";
import { freePort } from "../local/ports.ts";
import { firstTenant } from "../local/services.ts";
import { toBase64 } from "../src/lib/bytes.ts";
import { seedRecords } from "./audit-records.ts";
import { timeFigure } from "./figures.ts";
import type { Plan } from "./plan.ts";
import type { HttpBench } from "./service.ts";
import type { Adopted } from "./worker/scale/messages.ts";
import type { BenchWorker } from "./workers.ts";

const days = 60;
/** Of the last ones Postgres has the records, by default. */
const hotDays = 30;
const dayMs = 24 * 3600 * 1000;
const hourMs = 3600 * 1000;
const pagesEach = 60;
const pageBelowMs = 1_000;
const heapBelowMB = 128;
const heapEveryMs = 100;
/** Who has a part in an export: the service, and the archive's worker. */
const archiver = "edgesign-archive";
const isolates = ["edgesign", archiver] as const;
/** Of records as NDJSON: as many as an export of 1 GB has. */
const exportRecords = 900_000;
const runsMax = 10_000;
const verifyTimeoutMs = 3_600_000;
const scale = { main: join(import.meta.dirname, "worker", "scale", "index.ts") };

interface Scale {
	readonly plan: Plan;
	readonly bench: HttpBench;
	readonly worker: BenchWorker;
	readonly inspectorPort: number;
}

/**
 * The log at its size: records of two months, of which the older half is archived by the service's own
 * cron runs, then first pages by key and hour, and exports that are verified.
 */
export async function measureScale(plan: Plan, bench: HttpBench): Promise<void> {
	plan.progress("bundling the service that can be given a chain");
	const inspectorPort = await freePort();
	const worker = await bench.startVariant("scale", scale, inspectorPort);
	const at: Scale = { plan, bench, worker, inspectorPort };
	await seed(at);
	await archive(at);
	await measurePages(at);
	for (const format of ["ndjson", "parquet"] as const) await measureExport(at, format);
}

async function seed({ plan, bench, worker }: Scale): Promise<void> {
	const start = performance.now();
	const chains = await seedRecords({
		databaseUrl: bench.databaseUrl,
		records: plan.rows,
		days,
		tenants: [firstTenant, "bench-other"],
		onProgress: (done) => plan.progress(`audit/scale: ${done} of ${plan.rows} records made`),
		signal: plan.signal,
	});
	for (const { id, tenant, region, sequence, link, shard } of chains) {
		const place = `${tenant}/${region}/${shard}`;
		const adopted: Adopted = { tenant, place, id, sequence, link: toBase64(link) };
		await posted(worker, "/adopt", adopted);
	}
	await withDatabase(bench.databaseUrl, (client) => client.query("vacuum analyze audit_events"));
	const value = perSecond(plan.rows, start);
	plan.done({ id: "audit/scale/seed", unit: "records/s", value, samples: 1 });
}

/** What the clock of the service would do in as many minutes as there are runs. */
async function archive({ plan, bench, worker, inspectorPort }: Scale): Promise<void> {
	const start = performance.now();
	const times: number[] = [];
	const before = await recordsIn(bench);
	const heap = await watchHeap(inspectorPort, archiver);
	try {
		while ((await daysDue(bench)) > 0) {
			plan.signal.throwIfAborted();
			if (times.length === runsMax) throw new Error("the archive does not come to its end");
			plan.progress(`audit/scale: cron run ${times.length + 1} archives`);
			const runStart = performance.now();
			await worker.scheduled("* * * * *", Date.now());
			times.push(performance.now() - runStart);
		}
	} finally {
		await heap.end();
	}
	const moved = before - (await recordsIn(bench));
	const value = perSecond(moved, start);
	const notes = [
		`${moved} records in ${times.length} cron runs, which the clock makes one a minute`,
	];
	plan.done({ id: "audit/scale/archive", unit: "records/s", value, samples: times.length, notes });
	plan.done(timeFigure({ id: "audit/scale/archive/run" }, times, ["p50", "p95"]));
	plan.done({ ...mostHeld(heap), id: "audit/scale/archive/heap" });
}

function perSecond(records: number, start: number): number {
	return (1000 * records) / (performance.now() - start);
}

async function recordsIn({ databaseUrl }: HttpBench): Promise<number> {
	return numberOf(databaseUrl, "select count(*)::int as n from audit_events");
}

/** Days that Postgres has and need not have any more. */
async function daysDue({ databaseUrl }: HttpBench): Promise<number> {
	return numberOf(
		databaseUrl,
		`select count(*)::int as n from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent = 'audit_events'::regclass and c.relname ~ '^audit_events_[0-9]{8}$'
			and to_date(right(c.relname, 8), 'YYYYMMDD') < (now() at time zone 'utc')::date - ${hotDays}`,
	);
}

async function numberOf(databaseUrl: string, query: string): Promise<number> {
	return withDatabase(databaseUrl, async (client) => {
		const { rows } = await client.query<{ n: number }>(query);
		return rows[0]?.n ?? 0;
	});
}

interface Shown {
	readonly id: string;
	readonly at: string;
	readonly tokenId: string;
	readonly target: { readonly id: string; readonly name: string };
}

interface Page {
	readonly records: readonly Shown[];
	readonly nextCursor: string | null;
}

/** First pages of filters over an hour each, of records in Postgres and of records in R2. */
async function measurePages(at: Scale): Promise<void> {
	const today = Math.floor(Date.now() / dayMs) * dayMs;
	for (const [place, daysAgo] of [
		["hot", hotDays / 2],
		["cold", hotDays + 5],
		["over", hotDays], // the day on whose both sides the records are elsewhere
	] as const) {
		const examples = await someRecords(at, today - daysAgo * dayMs);
		for (const [name, filter] of Object.entries(filters)) {
			const times: number[] = [];
			let found = 0;
			for (let n = 0; n < pagesEach; n++) {
				at.plan.progress(`audit/scale: page ${n + 1} of ${pagesEach}, ${place} by ${name}`);
				const record = examples[n % examples.length];
				if (!record) throw new Error("there is no record to look for");
				const span = place === "over" ? dayMs : hourMs;
				const from = Math.floor(Date.parse(record.at) / hourMs) * hourMs;
				const window = { from: iso(from - (span - hourMs)), to: iso(from + span) };
				const start = performance.now();
				const page = await got<Page>(at, "/v1/audit", { ...filter(record), ...window });
				times.push(performance.now() - start);
				found += page.records.length;
			}
			const notes = [`${(found / pagesEach).toFixed(1)} records on a first page`];
			const line = { id: `audit/scale/page/${place}/${name}`, notes };
			const goal = name === "key" ? pageBelowMs : undefined;
			at.plan.done(timeFigure(line, times, ["p50", "p95"], goal));
		}
	}
}

const filters: Readonly<Record<string, (record: Shown) => Record<string, string>>> = {
	key: ({ target }) => ({ key: target.id }),
	name: ({ target }) => ({ key: target.name }),
	token: ({ tokenId }) => ({ token: tokenId }),
	action: () => ({ action: "createToken" }),
};

/** Of that day, frequent keys and rare ones: each hour's first page has some of both. */
async function someRecords(at: Scale, day: number): Promise<Shown[]> {
	const hours = Array.from({ length: 24 }, (_, hour) => day + hour * hourMs);
	const pages: Page[] = [];
	for (const from of hours) {
		const window = { from: iso(from), to: iso(from + hourMs), limit: "20" };
		pages.push(await got<Page>(at, "/v1/audit", window));
	}
	const rarest = pages.flatMap(({ records }) => records).toSorted((a, b) => rankOf(b) - rankOf(a));
	return rarest.filter((_, index) => index % Math.ceil(rarest.length / pagesEach) === 0);
}

/** The names of the keys have their ranks in them. */
function rankOf({ target }: Shown): number {
	return Number(target.name.split("-").at(-1));
}

function iso(time: number): string {
	return new Date(time).toISOString();
}

/** An export that begins with the newest records, how much memory it took, and whether it holds. */
async function measureExport(at: Scale, format: "ndjson" | "parquet"): Promise<void> {
	const { plan, bench } = at;
	const file = join(bench.folder, `export.${format}`);
	const from = await sinceWhen(bench, exportRecords);
	const heaps = await Promise.all(isolates.map((name) => watchHeap(at.inspectorPort, name)));
	const start = performance.now();
	try {
		plan.progress(`audit/scale: an export as ${format}`);
		const answer = await asked(at, "/v1/audit/export", { format, ...(from && { from }) });
		if (!answer.body) throw new Error("the export has no body");
		await pipeline(Readable.fromWeb(answer.body as never), createWriteStream(file), {
			signal: plan.signal,
		});
	} finally {
		await Promise.all(heaps.map((heap) => heap.end()));
	}
	const seconds = (performance.now() - start) / 1000;
	const { size } = await stat(file);
	plan.progress(`audit/scale: the export as ${format} is verified`);
	const verdict = await verified(at, file);
	for (const [index, heap] of heaps.entries()) {
		const id = `audit/scale/export/${format}/heap${index === 0 ? "" : "/archive"}`;
		const notes = index === 0 ? [`${size} bytes in ${seconds.toFixed(0)} s; ${verdict}`] : [];
		plan.done({ ...mostHeld(heap), id, notes });
	}
}

function mostHeld({ most: value }: { readonly most: number }) {
	const met = value < heapBelowMB * 2 ** 20;
	const goal = { text: `heap < ${heapBelowMB} MB`, met, sure: true };
	return { unit: "bytes", value, samples: 1, goal } as const;
}

/** The most that an isolate's heap has, garbage included, until it is told to end. */
async function watchHeap(inspectorPort: number, isolate: string) {
	const inspector = await openInspector(inspectorPort, isolate);
	let isOver = false;
	const heap = { most: 0, end };
	const watching = (async () => {
		while (!isOver) {
			const { usedSize, backingStorageSize } = await inspector.heapUsage();
			heap.most = Math.max(heap.most, usedSize + backingStorageSize);
			await sleep(heapEveryMs);
		}
	})();
	watching.catch(() => {}); // told when it ends
	async function end(): Promise<void> {
		isOver = true;
		await watching.finally(() => inspector.close());
	}
	return heap;
}

/** From when on the tenant has so many records at the most; null for from the first on. */
async function sinceWhen({ databaseUrl }: HttpBench, records: number): Promise<string | null> {
	return withDatabase(databaseUrl, async (client) => {
		const query = `select date_trunc('day', at, 'utc') as day, count(*)::int as n from audit_events
			where tenant_id = $1 group by 1 order by 1 desc`;
		const { rows } = await client.query<{ day: Date; n: number }>(query, [firstTenant]);
		let sum = 0;
		const first = rows.find(({ n }) => {
			sum += n;
			return sum > records;
		});
		return first ? first.day.toISOString() : null;
	});
}

const run = promisify(execFile);

/** What the command for auditors says. @throws when the export does not hold */
async function verified(at: Scale, file: string): Promise<string> {
	const keys = join(at.bench.folder, "audit-keys.json");
	const answer = await asked(at, "/.well-known/audit-jwks.json", {});
	await writeFile(keys, await answer.text());
	const command = join(import.meta.dirname, "..", "local", "audit-verify.ts");
	const start = performance.now();
	const { stdout } = await run(process.execPath, [command, file, "--keys", keys], {
		timeout: verifyTimeoutMs,
		signal: at.plan.signal,
	});
	const seconds = (performance.now() - start) / 1000;
	return `${stdout.split("\n")[0]} Verified in ${seconds.toFixed(0)} s`;
}

async function got<Answer>(at: Scale, path: string, query: Record<string, string>) {
	return (await (await asked(at, path, query)).json()) as Answer;
}

async function asked(
	{ worker, bench, plan }: Scale,
	path: string,
	query: Record<string, string>,
): Promise<Response> {
	const url = `${worker.url}${path}?${new URLSearchParams(query)}`;
	const headers = { Authorization: `Bearer ${bench.adminToken}` };
	const answer = await fetch(url, { headers, signal: plan.signal });
	if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
	return answer;
}

async function posted({ url }: BenchWorker, path: string, body: unknown): Promise<void> {
	const answer = await fetch(`${url}${path}`, { method: "POST", body: JSON.stringify(body) });
	if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
}

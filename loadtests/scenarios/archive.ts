import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { pooledRatio } from "../../bench/stats.ts";
import { withDatabase } from "../../local/database.ts";
import { Problem } from "../../local/problem.ts";
import type { Stack } from "../../local/stack.ts";
import type { Running, Scenario, Traffic } from "../scenario.ts";
import type { Interval } from "../timeline.ts";
import { prepareEveryday } from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

const pairs = 10;
const recordsPerDay = 4_000;
const cron = "* * * * *";
const firstDay = Date.UTC(2025, 0, 1);
const dayMs = 24 * 3600 * 1000;
/** After records were put there: Postgres writes them out. */
const settleMs = 1_500;
/** More than a pair takes beside its two windows: the writing of records, and an archiver that is slow. */
const pairSpareSeconds = 60;
const mix: Traffic = { sign: 1 };

export const archive: Scenario = {
	name: "archive",
	summary: "signatures while the archiver works and while it rests, in turn",
	sizes: { rate: 200, seconds: 20, users: 0 },
	figures: { archiving: "share" },
	thresholds: ["errors<0.1%", "archiving<10%"],
	phases: ["signing"],
	needsStack: true,
	prepare: prepareEveryday,
	async run(running) {
		const { target, sizes, load, cutShort } = running;
		const { stack } = target;
		if (!stack) throw new Problem("the archiver of a stack of its own is needed");
		const { rate, seconds } = sizes;
		await load([warmUp(rate, mix)]);
		const loading = load([
			{
				name: "signing",
				seconds: (pairs + 1) * (2 * seconds + pairSpareSeconds),
				loads: [{ rate, mix }],
			},
		]);
		try {
			tell(running, await inTurn(running, stack));
		} finally {
			cutShort();
			await loading;
		}
	},
};

interface Pair {
	readonly quiet: Interval;
	readonly busy: Interval;
}

/**
 * The order changes with each pair, so that what grows in the run is in both. As many records are written
 * before either, for what Postgres has to do after that; but they are a part of the log only where they are
 * to be archived: the run of the clock that a quiet window has too would begin with them.
 */
async function inTurn(running: Running, stack: Stack): Promise<Pair[]> {
	const found: Pair[] = [];
	await sleep(settleMs);
	await archiving(running, stack, pairs); // its first thousands of records are the compiler's: a day has millions
	for (let number = 0; number < pairs; number++) {
		running.signal.throwIfAborted();
		const isFirst = number % 2 === 0;
		const before = isFirst ? null : await resting(running, stack, number);
		const busy = await archiving(running, stack, number);
		found.push({ busy, quiet: before ?? (await resting(running, stack, number)) });
	}
	return found;
}

async function resting({ now, sizes }: Running, stack: Stack, day: number): Promise<Interval> {
	await writeDay(stack, day, async (client, table) => {
		await client.query(`alter table ${table} rename to rested_${day}`);
	});
	await sleep(settleMs);
	const from = now();
	await stack.scheduled(cron, Date.now());
	await sleep(sizes.seconds * 1000);
	return { from, to: now() };
}

async function archiving(running: Running, stack: Stack, day: number): Promise<Interval> {
	const [begin, end] = [day, day + 1].map((of) => new Date(firstDay + of * dayMs).toISOString());
	await writeDay(stack, day, async (client, table) => {
		await client.query(
			`alter table audit_events attach partition ${table} for values from ('${begin}') to ('${end}')`,
		);
	});
	await sleep(settleMs);
	const from = running.now();
	running.mark("archiver");
	while (!(await isArchived(stack.databaseUrl, day))) {
		running.signal.throwIfAborted();
		await stack.scheduled(cron, Date.now());
	}
	return { from, to: running.now() };
}

function partitionOf(day: number): string {
	const date = new Date(firstDay + day * dayMs).toISOString().slice(0, 10);
	return `audit_events_${date.replaceAll("-", "")}`;
}

async function isArchived(databaseUrl: string, day: number): Promise<boolean> {
	const { rows } = await withDatabase(databaseUrl, (client) =>
		client.query<{ gone: boolean }>("select to_regclass($1) is null as gone", [partitionOf(day)]),
	);
	return rows[0]?.gone === true;
}

/**
 * A table of records of a day that is old enough to be archived, with ids of version 7 that have the time in
 * them; and what becomes of it.
 */
async function writeDay(
	{ databaseUrl, tenant }: Stack,
	day: number,
	finish: (client: Client, table: string) => Promise<void>,
): Promise<void> {
	const begin = firstDay + day * dayMs;
	const table = partitionOf(day);
	await withDatabase(databaseUrl, async (client) => {
		await client.query("begin"); // the archiver sees all of it or nothing
		await client.query(`create table ${table} (like audit_events including all)`);
		// Every other place of a chain: a link is not looked at where the one before it is not there.
		await client.query(
			`insert into ${table} (tenant_id, at, id, request_id, token_id, action, target_id,
				target_name, version, algorithm, address, input_kind, input, signature, cost, outcome,
				chain, sequence, link)
			select $2, 'epoch'::timestamptz + t * interval '1 millisecond',
				(lpad(to_hex(t), 12, '0') || '7000' || '8' || substr(md5(n::text), 1, 15))::uuid,
				gen_random_uuid(), null, 'sign', md5((n % 100)::text)::uuid, 'key-' || n % 100, 1, 'Ed25519',
				'192.0.2.1', 'message', sha256(n::text::bytea), sha256(n::text::bytea), 100, 'ok',
				'01900000-0000-7000-8000-000000000001', 2 * n, sha256(n::text::bytea)
			from (select n, $3::bigint + n * 1000::bigint as t from generate_series(1, $1) n) numbers`,
			[recordsPerDay, tenant, begin],
		);
		await finish(client, table);
		await client.query("commit");
	});
}

/** Of all windows of a kind together: a collection of V8's is in one of them and not in the next. */
function tell({ summary, figure }: Running, found: readonly Pair[]): void {
	const ratio = (share: "p50" | "p95") =>
		pooledRatio(found.length, (pairs) => {
			const [busy = Number.NaN, quiet = Number.NaN] = (["busy", "quiet"] as const).map(
				(which) =>
					summary(found.filter((_, at) => pairs.includes(at)).map((pair) => pair[which])).latency?.[
						share
					],
			);
			return busy / quiet;
		});
	const [p50, p95] = [ratio("p50"), ratio("p95")];
	const more = (part: number) => ((part - 1) * 100).toFixed(1);
	const range = ({ low, high }: typeof p95) => `${more(low)} to ${more(high)} %`;
	const busy = found.map(({ busy }) => ((busy.to - busy.from) / 1000).toFixed(1)).join(", ");
	figure({
		name: "archiving",
		value: p95.median - 1,
		dimension: "share",
		text: `more p95 while ${recordsPerDay} records are archived, of ${found.length} pairs together (${range(p95)}); p50 ${more(p50.median)} % (${range(p50)}); the archiver took ${busy} s`,
	});
}

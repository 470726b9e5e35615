import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { withDatabase } from "../local/database.ts";
import { migrate } from "../local/migrate.ts";
import { startPostgres } from "../local/postgres.ts";
import type { Database, Param } from "../src/db/client.ts";
import { databaseOf } from "./audit-records.ts";
import { type Explained, explaining, sizesOfTables } from "./explained.ts";
import { pairedFigure } from "./figures.ts";
import type { Plan } from "./plan.ts";
import { type QueryPair, queryPairs } from "./query-pairs.ts";
import { seedSkewed } from "./skewed-data.ts";
import { median } from "./stats.ts";
import type { Ground } from "./workers.ts";

const days = 5;
/** For each record that the options ask for. The rest of the rows is as many as half of a million. */
const eventsPerRow = 3;
const keys = 40_000;
const rounds = 12;
/** A side is asked again until it took so long, so that the clock can tell what is short. */
const sideMs = 30;
/** 30 % less time. */
const leastRatio = 1.43;

type Side = "shipped" | "naive";

/** Queries of real screens and jobs beside the form that one writes first, on the same rows. */
export async function runQueries(plan: Plan, ground: Ground): Promise<void> {
	const pairs = queryPairs.filter(({ id }) => plan.wants(id));
	if (pairs.length === 0) return;
	plan.progress("queries: starting PostgreSQL");
	const dataDir = join(ground.folder.path, "queries");
	await mkdir(dataDir);
	const onSpawn = (pid: number) => ground.guard.watch(pid, "SIGINT");
	const postgres = await startPostgres({ dataDir, durable: false, onSpawn });
	ground.undo.add(postgres.stop);
	await migrate(postgres.url);
	await withDatabase(postgres.url, async (client) => {
		plan.progress("queries: making the rows");
		await seedSkewed(client, { events: eventsPerRow * plan.rows, days, keys });
		await client.query("vacuum (analyze)"); // as the server does by itself
		const sizes = await sizesOfTables(client);
		const rows = [...sizes.values()].reduce((sum, count) => sum + Math.max(0, count), 0);
		for (const pair of pairs) {
			plan.signal.throwIfAborted();
			plan.progress(pair.id);
			await measurePair({ plan, client, sizes, rows }, pair);
		}
	});
	await postgres.stop();
}

interface Bench {
	readonly plan: Plan;
	readonly client: pg.Client;
	readonly sizes: ReadonlyMap<string, number>;
	readonly rows: number;
}

async function measurePair({ plan, client, sizes, rows }: Bench, pair: QueryPair): Promise<void> {
	const db = databaseOf(client);
	const run = (side: Side, on: Database): Promise<readonly object[]> =>
		side === "shipped"
			? pair.shipped(on)
			: on.query({ name: "naive", ...pair.naive }, paramsOf(pair));
	await expectSame(client, pair, (side) => run(side, db));
	const shapes = {
		naive: await shapeOf(client, sizes, (on) => run("naive", on)),
		shipped: await shapeOf(client, sizes, (on) => run("shipped", on)),
	};
	const times: Record<Side, number[]> = { shipped: [], naive: [] };
	for (let round = 0; round < rounds; round++) {
		const order = ["shipped", "naive"] as const;
		for (const side of round % 2 === 0 ? order : order.toReversed()) {
			times[side].push(await timeOf(client, () => run(side, db)));
		}
	}
	const perSecond = (side: Side) => times[side].map((milliseconds) => 1_000 / milliseconds);
	const notes = (["naive", "shipped"] as const).map(
		(side) => `${side}: ${median(times[side]).toFixed(2)} ms, ${shapes[side]}`,
	);
	const line = {
		id: pair.id,
		unit: "operations/s",
		notes: [`${pair.of}, among ${Math.round(rows / 1_000)} thousand rows`, ...notes],
	} as const;
	const naive = { name: "naive", values: perSecond("naive") };
	plan.done(pairedFigure(line, perSecond("shipped"), naive, leastRatio));
}

function paramsOf({ naive }: QueryPair): readonly Param[] {
	return naive.params;
}

/** @throws when the two do not answer the same */
async function expectSame(
	client: pg.Client,
	{ id, same }: QueryPair,
	run: (side: Side) => Promise<readonly object[]>,
): Promise<void> {
	const answers: string[] = [];
	for (const side of ["naive", "shipped"] as const) {
		const found = await rolledBack(client, () => run(side));
		answers.push(JSON.stringify(found.map((row) => same(row as Record<string, unknown>))));
	}
	const [naive, shipped] = answers;
	if (naive !== shipped || naive === "[]") {
		throw new Error(`${id}: ${naive?.slice(0, 200)} is not ${shipped?.slice(0, 200)}`);
	}
}

async function rolledBack<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
	await client.query("begin");
	try {
		return await work();
	} finally {
		await client.query("rollback");
	}
}

async function shapeOf(
	client: pg.Client,
	sizes: ReadonlyMap<string, number>,
	run: (db: Database) => Promise<unknown>,
): Promise<string> {
	const seen: Explained[] = [];
	await rolledBack(client, () => run(explaining(client, sizes, (_, one) => seen.push(one))));
	return seen
		.map(({ reads, pages }) => `${reads.join(" + ") || "few rows"}, ${pages} pages`)
		.join("; ");
}

/** Of one, in milliseconds, the rolling back left out. */
async function timeOf(client: pg.Client, work: () => Promise<unknown>): Promise<number> {
	let total = 0;
	let count = 0;
	while (total < sideMs) {
		await rolledBack(client, async () => {
			const start = performance.now();
			await work();
			total += performance.now() - start;
		});
		count++;
	}
	return total / count;
}

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withDatabase } from "../local/database.ts";
import { pairedFigure, type Unit } from "./figures.ts";
import { type Measured, remarksOn } from "./generator.ts";
import type { Plan } from "./plan.ts";
import { firstWarmUpMs, type HttpBench, sampleMessage } from "./service.ts";
import { median } from "./stats.ts";
import { untilStill } from "./still.ts";
import type { Filled } from "./worker/moving/messages.ts";
import type { BenchWorker } from "./workers.ts";

/** As many as it takes until neither side has time left: with 32 the one with a log waits for the disk, 8 % of it. */
const connections = 64;
const blockMs = 1_500;
const warmUpMs = 1_500; // until records move at the pace at which they come
const roundsMin = 6; // fewer can not give an interval of 95 %
const leastRatio = 0.7;
const moveRecords = 60_000;
const moveRounds = 5;
const movedPerSecondAbove = 50_000;
const movedTimeoutMs = 60_000;
const pollMs = 10;
const key = "bench-audit";

/** What writes records, as the service's files import it, and what stands for it. */
const unaudited = {
	alias: { "./audited.ts": join(import.meta.dirname, "worker", "unaudited", "index.ts") },
};
const moving = { main: join(import.meta.dirname, "worker", "moving", "index.ts") };

type Sides = Readonly<Record<"with" | "without", BenchWorker>>;

/** Durable signatures beside the same service without its log. */
export async function measureAudit(plan: Plan, bench: HttpBench): Promise<void> {
	const { service, startVariant, databaseUrl } = bench;
	await service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	const request = service.prepare(`/v1/keys/${key}/sign`, { message: sampleMessage });
	plan.progress("bundling the service without its audit log");
	const sides: Sides = {
		with: service.worker,
		without: await startVariant("unaudited", unaudited),
	};
	await expectRecords(bench, sides, request);
	for (const worker of Object.values(sides)) {
		plan.progress("audit/sign: warming up");
		const job = { request, connections, warmUpMs: firstWarmUpMs, measureMs: blockMs, rate: null };
		await bench.generator.run(worker, job);
		await untilStill(databaseUrl);
	}
	const outcomes = { with: [] as Measured[], without: [] as Measured[] };
	const rounds = Math.max(roundsMin, Math.round((plan.seconds.http * 1000) / 2 / blockMs));
	for (let round = 0; round < rounds; round++) {
		plan.progress(`audit/sign: round ${round + 1} of ${rounds}`);
		const order = ["with", "without"] as const;
		for (const side of round % 2 === 0 ? order : order.toReversed()) {
			const job = { request, connections, warmUpMs, measureMs: blockMs, rate: null };
			outcomes[side].push(await bench.generator.run(sides[side], job));
			await untilStill(databaseUrl); // else one side's records would move at the other's expense
		}
	}
	const notes = [
		...(["with", "without"] as const).map((side) => usageOf(side, outcomes[side])),
		...remarksOn([...outcomes.with, ...outcomes.without]),
	];
	const compare = (id: string, unit: Unit, rate: (outcome: Measured) => number, goal?: number) => {
		const [values = [], besides = []] = [outcomes.with, outcomes.without].map((side) =>
			side.map(rate),
		);
		if (![...values, ...besides].every(Number.isFinite)) return; // the system does not tell
		const line = goal === undefined ? { id, unit } : { id, unit, notes };
		plan.done(pairedFigure(line, values, { name: "without a log", values: besides }, goal));
	};
	compare("audit/sign", "requests/s", ({ perSecond }) => perSecond, leastRatio);
	const perCpuSecond = (outcome: Measured) => 1 / (outcome.serverSecondsEach ?? Number.NaN);
	compare("audit/sign/cpu", "requests/CPU s", perCpuSecond);
}

/** Who had time left: a side whose thread does not reach 1 waited for the disk, or for the other programs. */
function usageOf(side: string, outcomes: readonly Measured[]): string {
	const thread = median(outcomes.flatMap(({ server }) => server?.thread ?? []));
	const others = median(outcomes.flatMap(({ othersCores }) => othersCores ?? []));
	const p50 = median(outcomes.flatMap(({ latencyMs }) => latencyMs?.p50 ?? []));
	return `${side} a log: server's busiest thread ${thread.toFixed(2)} cores, others (Postgres too) ${others.toFixed(2)}, p50 ${p50.toFixed(1)} ms`;
}

/** @throws when the one side keeps no records, or the other does */
async function expectRecords(
	{ generator, databaseUrl }: HttpBench,
	sides: Sides,
	request: string,
): Promise<void> {
	for (const side of ["without", "with"] as const) {
		const before = await untilStill(databaseUrl);
		const job = { request, connections: 1, warmUpMs: 0, measureMs: 500, rate: null };
		const { answeredInAll } = await generator.run(sides[side], job);
		const found = (await untilStill(databaseUrl)) - before;
		if (found !== (side === "with" ? answeredInAll : 0)) {
			throw new Error(`${answeredInAll} signatures ${side} the audit log left ${found} records`);
		}
	}
}

/** How fast records move and how large they are: an object is filled, and then lets them go. */
export async function measureMove(
	plan: Plan,
	{ startVariant, databaseUrl }: HttpBench,
): Promise<void> {
	plan.progress("bundling the object that holds its records back");
	const worker = await startVariant("moving", moving);
	const rates: number[] = [];
	const bytes = { object: [] as number[], postgres: [] as number[] };
	for (let round = 0; round < moveRounds; round++) {
		plan.progress(`audit/move: round ${round + 1} of ${moveRounds}`);
		plan.signal.throwIfAborted();
		const filled = await post<Filled>(worker, `/fill?records=${moveRecords}&shard=${round}`);
		const before = await sizeInPostgres(databaseUrl);
		const start = performance.now();
		await post(worker, `/release?shard=${round}`);
		await untilMoved(databaseUrl, filled);
		rates.push((1000 * moveRecords) / (performance.now() - start));
		bytes.object.push(filled.objectBytes / moveRecords);
		bytes.postgres.push(((await sizeInPostgres(databaseUrl)) - before) / moveRecords);
	}
	const rate = median(rates);
	const goal = {
		text: `> ${movedPerSecondAbove.toLocaleString("en-US")}`,
		met: rate > movedPerSecondAbove,
		sure: true,
	};
	const samples = moveRounds;
	plan.done({ id: "audit/move", unit: "records/s", value: rate, samples, goal });
	for (const place of ["object", "postgres"] as const) {
		const id = `audit/move/bytes/${place}`;
		plan.done({ id, unit: "bytes", value: median(bytes[place]), samples });
	}
}

async function post<Answer>({ url }: BenchWorker, path: string): Promise<Answer> {
	const response = await fetch(`${url}${path}`, { method: "POST" });
	if (!response.ok) throw new Error(`${path} answered ${response.status}`);
	return (await response.json()) as Answer;
}

async function untilMoved(databaseUrl: string, { tenant, last }: Filled): Promise<void> {
	const end = performance.now() + movedTimeoutMs;
	await withDatabase(databaseUrl, async (client) => {
		const query = "select 1 from audit_events where tenant_id = $1 and at = $2 and id = $3";
		const values = [tenant, new Date(last.at), last.id];
		while ((await client.query(query, values)).rowCount === 0) {
			if (performance.now() > end) throw new Error("the records do not come to Postgres");
			await sleep(pollMs);
		}
	});
}

/** Of all partitions, with their indexes. */
async function sizeInPostgres(databaseUrl: string): Promise<number> {
	return withDatabase(databaseUrl, async (client) => {
		const { rows } = await client.query<{ bytes: string }>(
			"select sum(pg_total_relation_size(relid)) as bytes from pg_partition_tree('audit_events')",
		);
		return Number(rows[0]?.bytes);
	});
}

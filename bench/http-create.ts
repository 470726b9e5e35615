import { withDatabase } from "../local/database.ts";
import * as limits from "../src/limits.ts";
import { algorithms } from "../src/signing/algorithms.ts";
import { timeFigure } from "./figures.ts";
import type { Plan } from "./plan.ts";
import type { HttpBench } from "./service.ts";

const cron = "* * * * *";
const stockedBelowMs = 100;
/** Runs of the job that fills the stock; each makes a bounded number of keys. */
const fillRunsMax = 20;
const sizes = algorithms.RS256.modulusLengths ?? [];

/** `POST /v1/keys` for RSA: with spare keys in stock, and with none. */
export async function measureCreation(plan: Plan, bench: HttpBench): Promise<void> {
	const stocked = new Map(sizes.map((bits) => [bits, [] as number[]]));
	const fresh = new Map(sizes.map((bits) => [bits, [] as number[]]));
	await create(bench, "ES256"); // the route, the database and its statements are warm after it
	const perFill = limits.spareRsaKeysPerSize;
	const fills = Math.max(1, Math.round(plan.keys / 4 / perFill));
	for (let fill = 0; fill < fills; fill++) {
		await fillStock(plan, bench);
		for (const [bits, times] of stocked) {
			plan.progress(`http/create/RS256-${bits}/stocked: ${times.length} keys`);
			for (let i = 0; i < perFill; i++) times.push(await create(bench, "RS256", bits));
		}
	}
	for (const [bits, times] of fresh) {
		for (let i = 0; i < plan.keys / 4; i++) {
			plan.progress(`http/create/RS256-${bits}/no-stock: ${times.length} keys`);
			times.push(await create(bench, "RS256", bits));
		}
	}
	for (const bits of sizes) {
		const line = (kind: string) => ({ id: `http/create/RS256-${bits}/${kind}` });
		const ready = stocked.get(bits) ?? [];
		plan.done(timeFigure(line("stocked"), ready, ["p50", "p95"], stockedBelowMs));
		plan.done(timeFigure(line("no-stock"), fresh.get(bits) ?? [], ["p50", "p95"]));
	}
}

let created = 0;

/** Milliseconds from the request to the whole answer. */
async function create({ service }: HttpBench, algorithm: string, bits?: number): Promise<number> {
	const json = {
		name: `bench-create-${++created}`,
		algorithm,
		...(bits !== undefined && { modulusLength: bits }),
	};
	const start = performance.now();
	await service.post("/v1/keys", json);
	return performance.now() - start;
}

async function fillStock(plan: Plan, { service, databaseUrl }: HttpBench): Promise<void> {
	const wanted = sizes.length * limits.spareRsaKeysPerSize;
	for (let run = 0; run < fillRunsMax; run++) {
		const spares = await countSpares(databaseUrl);
		if (spares >= wanted) return;
		plan.progress(`http/create: filling the stock, ${spares} of ${wanted} keys`);
		plan.signal.throwIfAborted();
		await service.worker.scheduled(cron, Date.now());
	}
	throw new Error("the stock of RSA keys is not full after its job has run again and again");
}

async function countSpares(databaseUrl: string): Promise<number> {
	return withDatabase(databaseUrl, async (client) => {
		const { rows } = await client.query<{ spares: number }>(
			"select count(*)::int as spares from spare_keys",
		);
		return rows[0]?.spares ?? 0;
	});
}

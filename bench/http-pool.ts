import { join } from "node:path";
import { pairedFigure } from "./figures.ts";
import type { Plan } from "./plan.ts";
import type { HttpBench } from "./service.ts";
import { median } from "./stats.ts";
import type { HoldRequest, PoolForm, PoolMeasured, PoolRequest } from "./worker/pool/messages.ts";
import type { BenchWorker } from "./workers.ts";

const borrowersOf = [1, 20, 50, 500];
const blockMs = 500;
/** Transactions of which none gives its connection back while the pool grows as far as it may. */
const keepers = { borrowers: 100, milliseconds: 1_000 };
const roundsMin = 6; // fewer can not give an interval of 95 %
const pooled = { main: join(import.meta.dirname, "worker", "pool", "index.ts") };

/** Small statements of an object over the connections that it keeps, beside the HTTP form. */
export async function measurePool(plan: Plan, { startVariant }: HttpBench): Promise<void> {
	plan.progress("bundling the object that asks Postgres");
	const worker = await startVariant("pool", pooled);
	const seconds = plan.seconds.http / borrowersOf.length;
	const rounds = Math.max(roundsMin, Math.round((seconds * 1000) / 2 / blockMs));
	for (const borrowers of borrowersOf) {
		const id = `pool/${borrowers}`;
		const measured: Record<PoolForm, PoolMeasured[]> = { pool: [], http: [] };
		for (const form of ["pool", "http"] as const) {
			await ask(plan, worker, { form, borrowers, milliseconds: blockMs }); // opens what it needs
		}
		for (let round = 0; round < rounds; round++) {
			plan.progress(`${id}: round ${round + 1} of ${rounds}`);
			const order = ["pool", "http"] as const;
			for (const form of round % 2 === 0 ? order : order.toReversed()) {
				measured[form].push(await ask(plan, worker, { form, borrowers, milliseconds: blockMs }));
			}
		}
		plan.done({
			...{ id: `${id}/connections`, unit: "connections", samples: rounds },
			value: mostConnections(measured),
		});
		const rates = (form: PoolForm) => measured[form].map(({ perSecond }) => perSecond);
		const line = { id, unit: "operations/s", notes: notesOn(measured) } as const;
		plan.done(pairedFigure(line, rates("pool"), { name: "over HTTP", values: rates("http") }));
	}
	const held = await ask<number>(plan, worker, { form: "held", ...keepers });
	plan.done({ id: "pool/held/connections", unit: "connections", value: held, samples: 1 });
}

function notesOn(measured: Record<PoolForm, PoolMeasured[]>): string[] {
	const times = (form: PoolForm) =>
		(["p50Ms", "p95Ms"] as const)
			.map(
				(name) =>
					`${name.slice(0, 3)} ${median(measured[form].map((one) => one[name])).toFixed(1)}`,
			)
			.join(" and ");
	return [`pool: ${times("pool")} ms; over HTTP: ${times("http")} ms`];
}

function mostConnections({ pool }: Record<PoolForm, PoolMeasured[]>): number {
	return Math.max(...pool.map(({ connections }) => connections));
}

async function ask<Answer = PoolMeasured>(
	{ signal }: Plan,
	{ url }: BenchWorker,
	request: PoolRequest | HoldRequest,
): Promise<Answer> {
	const body = JSON.stringify(request);
	const response = await fetch(url, { method: "POST", body, signal });
	if (!response.ok) throw new Error(`the object that asks Postgres answered ${response.status}`);
	return (await response.json()) as Answer;
}

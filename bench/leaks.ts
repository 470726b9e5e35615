import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openInspector } from "../local/inspector.ts";
import { freePort } from "../local/ports.ts";
import { startServices } from "../local/services.ts";
import type { Figure } from "./figures.ts";
import { type Measured, remarksOn, startGenerator } from "./generator.ts";
import type { Plan } from "./plan.ts";
import { createService, sampleMessage } from "./service.ts";
import type { Kind, Watched, WatchedKinds } from "./worker/leaks/messages.ts";
import { type Ground, startWorker, variantConfig } from "./workers.ts";

const id = "memory/leaks";
const key = "bench-leaks";
const connections = 16;
const blocks = 3;
const blockMsMax = 5_000;
/** More records at once than the log's object moves without a connection of its own (audit-limits.ts). */
const batch = { items: Array.from({ length: 1000 }, () => ({ message: sampleMessage })) };
/** Until records have moved to Postgres, and what the requests left behind is done. */
const restMs = 2_500;
/** On a busy machine that takes longer: what is alive after this is a leak. */
const patienceMs = 30_000;
/** The first collection lets go of what leads to others. */
const collections = 2;

const standIn = (name: string) => join(import.meta.dirname, "worker", "leaks", `${name}.ts`);
const variant = {
	main: standIn("index"),
	alias: {
		"./admission.ts": standIn("admission"),
		"./input.ts": standIn("input"),
		"./lane.ts": standIn("lane"),
		"./limits/audit.ts": standIn("audit-limits"),
		"./memory.ts": standIn("memory"),
		"../src/db/pooled.ts": standIn("pooled"),
	},
};

/** Objects that should have died under a load and have not, by kind. */
export async function runLeaks(plan: Plan, ground: Ground): Promise<void> {
	if (!plan.wants(id)) return;
	const { found, outcomes } = await findLeaks(plan, ground);
	for (const [kind, watched] of Object.entries(found)) plan.done(figureOf(kind, watched));
	const requests = outcomes.reduce((sum, { answeredInAll }) => sum + answeredInAll, 0);
	const notes = [`after ${requests.toLocaleString("en-US")} requests`, ...remarksOn(outcomes)];
	const leaks = Object.values(found).filter(({ alive, most }) => alive > most).length;
	const goal = { text: "none", met: leaks === 0, sure: true };
	plan.done({ id, unit: "kinds", value: leaks, samples: 1, goal, notes });
}

/**
 * Signs for a while, changing the tenant between blocks so that caches let go of what they have; then
 * collects all garbage and asks what is left.
 * @param planted a kind whose objects are to be kept, for a test of this
 */
export async function findLeaks(
	plan: Plan,
	ground: Ground,
	planted: Kind | null = null,
): Promise<{ found: WatchedKinds; outcomes: readonly Measured[] }> {
	plan.progress("memory/leaks: starting PostgreSQL, the gateways and the worker");
	const services = await startServices({ ...ground, durable: true, urls: [] });
	const inspectorPort = await freePort();
	const config = await variantConfig(ground, "leaks", variant);
	const worker = await startWorker(ground, "leaks", config, services.vars, inspectorPort);
	const inspector = await openInspector(inspectorPort);
	ground.undo.add(async () => inspector.close());
	const service = createService(worker, services.admin.token);
	if (planted) await service.post(`/plant?kind=${planted}`, {});
	await service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	const request = service.prepare(`/v1/keys/${key}/sign`, { message: sampleMessage });
	const generator = startGenerator(ground, plan.signal);
	const measureMs = Math.min(blockMsMax, (1000 * plan.seconds.http) / blocks);
	const outcomes: Measured[] = [];
	for (let block = 0; block < blocks; block++) {
		plan.progress(`memory/leaks: block ${block + 1} of ${blocks}`);
		const job = { request, connections, warmUpMs: 0, measureMs, rate: null };
		outcomes.push(await generator.run(worker, job));
		await service.post("/v1/cache/purge", {});
	}
	await service.post(`/v1/keys/${key}/sign-batch`, batch);
	const end = performance.now() + patienceMs;
	for (;;) {
		await sleep(restMs);
		for (let time = 0; time < collections; time++) {
			await inspector.collectGarbage(async () => (await fetch(`${worker.url}/watched`)).text());
		}
		const answer = await fetch(`${worker.url}/watched`, { signal: plan.signal });
		const found = (await answer.json()) as WatchedKinds;
		if (isOver(found, planted) || performance.now() > end) return { found, outcomes };
	}
}

/** Whether objects of every kind were made, and no more are alive than may be. */
function isOver(found: WatchedKinds, planted: Kind | null): boolean {
	return Object.entries(found).every(
		([kind, { made, alive, most }]) => kind === planted || (made > 0 && alive <= most),
	);
}

function figureOf(kind: string, { made, alive, told, most }: Watched): Figure {
	const goal = { text: `<= ${most}`, met: alive <= most, sure: true };
	const notes = [`of ${made.toLocaleString("en-US")} that were made; ${told} were told to be gone`];
	return { id: `${id}/${kind}`, unit: "objects", value: alive, samples: made, goal, notes };
}

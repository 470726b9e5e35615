import { type Caller, refuseScoped } from "../auth/tokens.ts";
import { type Run, runNow, toRun } from "../benchmark/runs.ts";
import { trendsOf } from "../benchmark/trends.ts";
import { type AlertRow, selectAlerts } from "../db/alerts.ts";
import { findRun, selectRuns } from "../db/benchmarks.ts";
import type { Database } from "../db/client.ts";
import { lastId } from "../db/columns.ts";
import { ok } from "../lib/result.ts";
import * as limits from "../limits.ts";
import * as answers from "../schemas/answers/benchmarks.ts";
import * as schema from "../schemas/benchmarks.ts";
import { cutPage, readPage } from "./pages.ts";
import { rememberedResult } from "./results.ts";
import { type Docs, route } from "./route.ts";

const whole = "see or run benchmarks, which are of the whole service";

export const listBenchmarks = route(
	{
		method: "get",
		path: "/v1/benchmarks",
		id: "listBenchmarks",
		tag: "Benchmarks",
		permission: "benchmarks:read",
		query: schema.listBenchmarksQuery,
	},
	async ({ services, caller, query }) => {
		const refusal = refuseScoped(caller, whole);
		if (refusal) return refusal;
		const listing = { of: "listBenchmarks", tenant: caller.tenant, query };
		const page = readPage(listing, lastId);
		if (!page.ok) return page;
		const { db } = services;
		return rememberedResult(services, caller.tenant, ["listBenchmarks", page.value], async () => {
			const newest = { after: lastId, size: limits.benchmarkHistoryRuns };
			const [found, history] = await Promise.all([
				selectRuns(db, caller.tenant, page.value),
				selectRuns(db, caller.tenant, newest),
			]);
			const { rows, nextCursor } = cutPage(found, page.value, listing);
			const trends = trendsOf(history.map(toRun).reverse());
			return ok({ runs: rows.map(toRun), trends, nextCursor });
		});
	},
);

export const runBenchmark = route(
	{
		method: "post",
		path: "/v1/benchmarks/run",
		id: "runBenchmark",
		tag: "Benchmarks",
		permission: "benchmarks:run",
		cost: () => limits.benchmarkRunCost,
		again: async ({ services: { db }, caller }, id) => {
			const row = await findRun(db, caller.tenant, id);
			if (!row) throw new Error("a run that was stored is not there");
			return reported(db, caller, toRun(row));
		},
	},
	async ({ services, caller }) => {
		const refusal = refuseScoped(caller, whole);
		if (refusal) return refusal;
		const run = await runNow(services, caller.tenant);
		services.resultCache.dropTenant(caller.tenant); // whoever runs one sees it in the list
		return reported(services.db, caller, run);
	},
);

export const listBenchmarkAlerts = route(
	{
		method: "get",
		path: "/v1/benchmarks/alerts",
		id: "listBenchmarkAlerts",
		tag: "Benchmarks",
		permission: "benchmarks:read",
		query: schema.listAlertsQuery,
	},
	async ({ services: { db }, caller, query }) => {
		const refusal = refuseScoped(caller, whole);
		if (refusal) return refusal;
		const listing = { of: "listBenchmarkAlerts", tenant: caller.tenant, query };
		const page = readPage(listing, lastId);
		if (!page.ok) return page;
		const found = await selectAlerts(db, caller.tenant, page.value, query.open ?? false);
		const { rows, nextCursor } = cutPage(found, page.value, listing);
		return ok({ json: { alerts: rows.map(toAlert), nextCursor } });
	},
);

async function reported(db: Database, { tenant }: Caller, run: Run) {
	const newest = { after: lastId, size: limits.pageSizeMax };
	const open = await selectAlerts(db, tenant, newest, true);
	return ok({ json: { run, alerts: open.map(toAlert) } });
}

function toAlert({ raised_at: raisedAt, resolved_at: resolvedAt, ...alert }: AlertRow) {
	return { ...alert, raisedAt, resolvedAt };
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function benchmarksDocs() {
	return {
		listBenchmarks: {
			summary: "What the service measured of itself, the newest first",
			description:
				"Runs, and how each figure has gone over the newest 100 of them. They are made on a schedule where `benchmarking_config.enable_benchmarks` is on, and by `POST /v1/benchmarks/run`; they are kept for 30 days. An answer can be five seconds old, which `Age` tells.",
			answer: { description: "A page of runs, and the trends", schema: answers.runPage },
			failures: ["invalid_cursor", "scoped_token_forbidden"],
			examples: [{ query: { limit: "20" } }],
		},
		runBenchmark: {
			summary: "Measure the service now",
			description:
				"Takes a second or a few, and 40 at the most. One measurement goes on at a time: whoever asks meanwhile gets the same figures, each as a run of their own.",
			answer: { description: "The run, and the open alerts", schema: answers.runReport },
			failures: ["scoped_token_forbidden"],
			examples: [{}],
		},
		listBenchmarkAlerts: {
			summary: "Alerts that runs raised, the newest first",
			description:
				"One for each condition, from the run that found it until one that finds that it has ended.",
			answer: { description: "A page of alerts", schema: answers.alertPage },
			failures: ["invalid_cursor", "scoped_token_forbidden"],
			examples: [{ query: { open: "true" } }],
		},
	} as const satisfies Docs;
}

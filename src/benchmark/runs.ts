import { readConfig } from "../config/config.ts";
import { defaultConfig, storedConfig } from "../config/schema.ts";
import { raising, resolving } from "../db/alerts.ts";
import {
	claimDue,
	insertingRun,
	type NewRun,
	type RunOrigin,
	type RunRow,
	selectRuns,
} from "../db/benchmarks.ts";
import type { Database } from "../db/client.ts";
import { lastId } from "../db/columns.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { uuidv7 } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import { assess, type Thresholds } from "./assess.ts";
import { type Figures, figures as figuresSchema, type Measurement } from "./figures.ts";
import type { Benchmarks } from "./object.ts";

export interface RunServices {
	readonly db: Database;
	readonly benchmarks: Benchmarks;
	readonly clock: Clock;
	readonly random: Random;
}

/** A run as it is shown: its figures as this release knows them. */
export interface Run extends Omit<RunRow, "figures"> {
	readonly figures: Figures;
}

/**
 * One measurement for all tenants whose interval is over, if there are any; how many got a run. It is
 * of the service, which they share, so it costs the same however many they are.
 */
export async function runDue(services: RunServices): Promise<number> {
	const due = await claimDue(services.db, {
		slackSeconds: limits.benchmarkSlackSeconds,
		intervalSeconds: defaultConfig.benchmarking_config.benchmark_interval_seconds,
		atMost: limits.benchmarkTenantsPerRun,
	});
	if (due.length === 0) return 0;
	const measurement = await services.benchmarks.measure();
	const failures: unknown[] = [];
	for (const { tenant_id: tenant, config } of due) {
		try {
			const { performance_thresholds } = storedConfig.parse(config).benchmarking_config;
			await record(services, tenant, "schedule", measurement, performance_thresholds);
		} catch (error) {
			failures.push(error); // of one tenant: the others get theirs
			if (failures.length >= limits.benchmarkFailuresPerRun) break;
		}
	}
	if (failures.length > 0) throw failures[0];
	return due.length;
}

/** A run for one tenant, because it asks for it. */
export async function runNow(services: RunServices, tenant: string): Promise<Run> {
	const { config } = await readConfig(services.db, tenant);
	const measurement = await services.benchmarks.measure();
	const { performance_thresholds } = config.benchmarking_config;
	return record(services, tenant, "request", measurement, performance_thresholds);
}

/** Stores the run with what it raises and resolves: all of it or nothing. */
async function record(
	{ db, clock, random }: RunServices,
	tenant: string,
	origin: RunOrigin,
	measurement: Measurement,
	thresholds: Thresholds,
): Promise<Run> {
	const page = { after: lastId, size: limits.benchmarkHistoryRuns };
	const history = (await selectRuns(db, tenant, page)).map(toRun).reverse();
	const { broken, kept } = assess(
		measurement,
		history.map(({ figures }) => figures),
		thresholds,
	);
	const run: NewRun = { id: uuidv7(clock, random), at: clock(), origin, ...measurement };
	const alerts = broken.map((finding) => ({ id: uuidv7(clock, random), ...finding }));
	const [rows] = await db.transaction([
		insertingRun(tenant, run),
		raising(tenant, alerts),
		resolving(tenant, kept),
	]);
	const [row] = (rows ?? []) as unknown as RunRow[];
	if (!row) throw new Error("benchmarks.insert returned no row");
	return toRun(row);
}

export function toRun(row: RunRow): Run {
	return { ...row, figures: figuresSchema.parse(row.figures) };
}

import { purgeAlerts } from "../db/alerts.ts";
import { purgeRuns } from "../db/benchmarks.ts";
import type { Database } from "../db/client.ts";
import * as limits from "../limits.ts";

/** Deletes old runs, and alerts that were resolved as long ago; how many. */
export async function purgeOldBenchmarks({ db }: { readonly db: Database }): Promise<number> {
	const days = limits.benchmarkKeptDays;
	const atMost = limits.purgeBenchmarksPerRun;
	return (await purgeRuns(db, days, atMost)) + (await purgeAlerts(db, days, atMost));
}

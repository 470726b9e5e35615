import type { ArchiveServices } from "../audit/archive.ts";
import type { ExpireServices } from "../audit/expire.ts";
import type { AuditLogs } from "../audit/log.ts";
import type { RunServices } from "../benchmark/runs.ts";
import type { Config } from "../env.ts";
import type { Clock } from "../lib/clock.ts";
import { describeError, type Log } from "../observe/log.ts";
import { algorithms } from "../signing/algorithms.ts";
import { refillSpareKeys, type SpareServices } from "../signing/spares.ts";
import { archiveAudit, expireAudit } from "./archive-audit.ts";
import { makeAuditPartitions } from "./audit-partitions.ts";
import { runBenchmarks } from "./benchmarks.ts";
import { deliverAudit } from "./deliver-audit.ts";
import { purgeOldBenchmarks } from "./purge-benchmarks.ts";
import { purgeOldEffects } from "./purge-effects.ts";
import { purgeDueKeys } from "./purge-keys.ts";
import { purgeOldUsage } from "./purge-usage.ts";

export interface JobServices extends SpareServices, ArchiveServices, ExpireServices, RunServices {
	readonly config: Config;
	readonly audit: AuditLogs;
	readonly clock: Clock;
	readonly log: Log;
}

/** Answers how much it did, for the log. Each run does a bounded piece of work, and the next goes on. */
export type Job = (services: JobServices) => Promise<number>;

/** The clock of the service: cron expression (UTC) to jobs. wrangler.toml lists the same expressions. */
export const schedule: Readonly<Record<string, Readonly<Record<string, Job>>>> = {
	"* * * * *": {
		purgeDueKeys,
		purgeOldEffects,
		refillSpareKeys: async (services) =>
			services.config.makesSpareKeys ? refillSpareKeys(services, algorithms.RS256.generate) : 0,
		makeAuditPartitions,
		deliverAudit,
		purgeOldBenchmarks,
		purgeOldUsage,
		runBenchmarks,
		expireAudit,
		archiveAudit, // the last, for it takes the longest
	},
};

/** Runs the jobs of one tick. One that fails is logged and does not keep the others from running. */
export async function runScheduled(services: JobServices, cron: string): Promise<void> {
	for (const [name, job] of Object.entries(schedule[cron] ?? {})) {
		const start = services.clock();
		try {
			const count = await job(services);
			services.log({ event: "job_done", job: name, milliseconds: services.clock() - start, count });
		} catch (error) {
			services.log({ event: "job_failed", job: name, error: describeError(error) });
		}
	}
}

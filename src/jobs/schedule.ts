import type { AuditLogs } from "../audit/log.ts";
import type { RunServices } from "../benchmark/runs.ts";
import type { ChangeServices } from "../coordination/change.ts";
import type { Config } from "../env.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../observe/log.ts";
import { algorithms } from "../signing/algorithms.ts";
import { refillSpareKeys, type SpareServices } from "../signing/spares.ts";
import { makeAuditPartitions } from "./audit-partitions.ts";
import { runBenchmarks } from "./benchmarks.ts";
import { deliverAudit } from "./deliver-audit.ts";
import { purgeOldBenchmarks } from "./purge-benchmarks.ts";
import { purgeOldEffects } from "./purge-effects.ts";
import { purgeDueKeys } from "./purge-keys.ts";
import { purgeOldUsage } from "./purge-usage.ts";
import type { Schedule } from "./run.ts";

export interface JobServices extends ChangeServices, SpareServices, RunServices {
	readonly config: Config;
	readonly audit: AuditLogs;
	readonly clock: Clock;
	readonly log: Log;
}

/** The clock of the service. */
export const schedule: Schedule<JobServices> = {
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
	},
};

import type { ArchiveServices } from "../audit/archive.ts";
import type { ExpireServices } from "../audit/expire.ts";
import type { ArchiveConfig } from "../env.ts";
import type { Log } from "../observe/log.ts";
import { archiveAudit, expireAudit } from "./archive-audit.ts";
import type { Schedule } from "./run.ts";

interface ArchiveJobServices extends ArchiveServices, ExpireServices {
	readonly config: ArchiveConfig;
	readonly log: Log;
}

/** The clock of the archive's worker. */
export const archiveSchedule: Schedule<ArchiveJobServices> = {
	"* * * * *": {
		expireAudit,
		archiveAudit, // the last, for it takes the longest
	},
};

import type { Database } from "../db/client.ts";
import { purgeUsage } from "../db/usage.ts";
import * as limits from "../limits.ts";

/** Deletes counts of old days; how many. */
export async function purgeOldUsage({ db }: { readonly db: Database }): Promise<number> {
	return purgeUsage(db, limits.usageKeptDays, limits.purgeUsagePerRun);
}

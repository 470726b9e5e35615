import { ensurePartitions } from "../db/audit-events.ts";
import type { Database } from "../db/client.ts";
import * as limits from "../limits.ts";

/** Makes the audit log's partitions ahead of time, and those that records wait for; how many. */
export async function makeAuditPartitions({ db }: { readonly db: Database }): Promise<number> {
	return ensurePartitions(db, limits.auditPartitionDaysAhead);
}

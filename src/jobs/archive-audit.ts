import { type ArchiveServices, archiveSlice } from "../audit/archive.ts";
import { type ExpireServices, expireSlice } from "../audit/expire.ts";
import type { ArchiveConfig } from "../env.ts";

/** Brings days of the audit log that are old enough from Postgres to R2; how many records. */
export async function archiveAudit(
	services: ArchiveServices & { readonly config: Pick<ArchiveConfig, "auditHotDays"> },
): Promise<number> {
	return archiveSlice(services, services.config.auditHotDays);
}

/** Deletes archived days that their tenants do not keep any longer; how many. */
export async function expireAudit(services: ExpireServices): Promise<number> {
	return expireSlice(services);
}

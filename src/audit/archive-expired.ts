import { expiredDays, type TenantDay } from "../db/audit-archives.ts";
import * as limits from "../limits.ts";
import { type Archive, bytesIn } from "./archive-bucket.ts";
import { firstUnder, isKept, someUnder } from "./archive-kept.ts";
import { type ArchiveReader, daysOf } from "./archive-source.ts";
import type { ExpiredPage } from "./cold.ts";
import { dayPrefix, deletionKey, loadManifest, payloadOf } from "./manifest.ts";
import { AuditUnreadable, type RecordFilter } from "./source.ts";

/** The deleted days that a filter touches, a few at a time: what their manifests say, which outlive the records. */
export async function expiredPage(
	{ db, archive }: ArchiveReader,
	filter: RecordFilter,
	before: string | null,
): Promise<ExpiredPage> {
	const { tenant } = filter;
	const range = daysOf({ ...filter, before: null });
	if (!range) return { days: [], before: null };
	const found = await expiredDays(db, tenant, range, before, limits.auditManifestsAtOnce);
	const days = await Promise.all(
		found.map(async (day) => {
			if (day.state === "expiring" && (await isKept(archive, tenant, day))) return null;
			const { records, chains } = await loadManifest(archive, tenant, day);
			const deleted = await requireDeletion(archive, { tenant, day: day.day });
			return { tenant, day: day.day, manifest: day.manifest, records, chains, deleted };
		}),
	);
	const isLast = found.length < limits.auditManifestsAtOnce;
	const next = isLast ? null : (found.at(-1)?.day ?? null);
	return { days: days.filter((day) => day !== null), before: next };
}

/**
 * Whoever can write to Postgres could otherwise hide a day behind the service's own signature. Days without the
 * archive's word were deleted before it was kept: of those no file is there. When the word was given is told by R2: it
 * is from then on that nobody reads the files, and not from when it was signed.
 */
async function requireDeletion(archive: Archive, of: TenantDay): Promise<string | null> {
	const key = deletionKey(of);
	const word = await firstUnder(archive, key, () => true);
	if (!word) {
		if (!(await someUnder(archive, dayPrefix(of), (one) => one.endsWith(".parquet")))) return null;
		throw new AuditUnreadable(`${key} is not in the archive, and the day's records are`);
	}
	const payload = payloadOf(new TextDecoder().decode(await bytesIn(archive, key)));
	const { tenant, day } = JSON.parse(new TextDecoder().decode(payload ?? undefined)) as TenantDay;
	if (tenant !== of.tenant || day !== of.day) throw new AuditUnreadable(`${key} is of another day`);
	return word.uploaded.toISOString();
}

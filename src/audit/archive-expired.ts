import { expiredDays } from "../db/audit-archives.ts";
import { limits } from "../limits.ts";
import { type ArchiveReader, daysOf } from "./archive-source.ts";
import type { ExpiredPage } from "./cold.ts";
import { loadManifest } from "./manifest.ts";
import type { RecordFilter } from "./source.ts";

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
			const { records, chains } = await loadManifest(archive, tenant, day);
			return { tenant, day: day.day, manifest: day.manifest, records, chains };
		}),
	);
	const isLast = found.length < limits.auditManifestsAtOnce;
	return { days, before: isLast ? null : (found.at(-1)?.day ?? null) };
}

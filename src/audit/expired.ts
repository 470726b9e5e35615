import { expiredDays } from "../db/audit-archives.ts";
import { limits } from "../limits.ts";
import { type ArchiveReader, daysOf } from "./archive-source.ts";
import type { ExpiredDay } from "./export.ts";
import { loadManifest } from "./manifest.ts";
import type { AuditSigner } from "./signer.ts";
import type { RecordFilter } from "./source.ts";

/**
 * Statements of the deleted days that a filter touches, the newest first: a few in memory at a time.
 * They are made of the manifests, which outlive the records.
 */
export async function* statementsOfExpired(
	{ db, archive, signer }: ArchiveReader & { readonly signer: AuditSigner },
	id: string,
	filter: RecordFilter,
): AsyncGenerator<string> {
	const { tenant } = filter;
	const days = daysOf({ ...filter, before: null });
	if (!days) return;
	for (let before: string | null = null; ; ) {
		const found = await expiredDays(db, tenant, days, before, limits.auditManifestsAtOnce);
		const manifests = found.map((day) => loadManifest(archive, tenant, day));
		for (const [index, { records, chains }] of (await Promise.all(manifests)).entries()) {
			const { day, manifest } = found[index] ?? { day: "", manifest: "" };
			const said: ExpiredDay = { export: id, tenant, day, manifest, records, chains };
			yield signer.sign("edgesign-audit-expired+jwt", said);
		}
		if (found.length < limits.auditManifestsAtOnce) return;
		before = found.at(-1)?.day ?? null;
	}
}

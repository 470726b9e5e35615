import type { ColdArchive } from "./cold.ts";
import type { ExpiredDay } from "./export.ts";
import type { AuditSigner } from "./signer.ts";
import type { RecordFilter } from "./source.ts";

/** Statements of the deleted days that a filter touches, the newest first: a few in memory at a time. */
export async function* statementsOfExpired(
	cold: Pick<ColdArchive, "expired">,
	signer: AuditSigner,
	id: string,
	filter: RecordFilter,
): AsyncGenerator<string> {
	for (let before: string | null = null; ; ) {
		const page = await cold.expired(filter, before);
		for (const day of page.days) {
			const said: ExpiredDay = { export: id, ...day };
			yield signer.sign("edgesign-audit-expired+jwt", said);
		}
		if (page.before === null) return;
		before = page.before;
	}
}

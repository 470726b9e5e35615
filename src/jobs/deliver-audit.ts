import type { AuditLogs } from "../audit/log.ts";
import { appendOfChange } from "../audit/outbox.ts";
import { dueOutbox, settleOutbox } from "../db/audit-outbox.ts";
import type { Database } from "../db/client.ts";
import * as limits from "../limits.ts";

/**
 * Brings the records of changes to the log whose requests were cut off, and takes away the notes of
 * those that Postgres has; how many it brought. One that was there already is kept once.
 */
export async function deliverAudit({
	db,
	audit,
}: {
	readonly db: Database;
	readonly audit: AuditLogs;
}): Promise<number> {
	const failures: unknown[] = [];
	// What is settled is only in the way: it must not keep what is not from its log.
	await settleOutbox(db, limits.auditOutboxSettledPerRun).catch((error) => failures.push(error));
	const due = await dueOutbox(db, limits.auditOutboxWaitSeconds, limits.auditOutboxPerRun);
	let delivered = 0;
	for (const row of due) {
		const note = { ...row, requestId: row.request_id, tokenId: row.token_id };
		try {
			const appended = await audit.appendOnce(appendOfChange(row.tenant_id, note, row));
			if (appended === "kept") delivered++;
		} catch (error) {
			failures.push(error); // of one object: the others get theirs
			if (failures.length >= limits.auditOutboxFailuresPerRun) break;
		}
	}
	if (failures.length > 0) throw failures[0];
	return delivered;
}

import { type FoundEvent, selectEvents } from "../db/audit-reads.ts";
import type { Database } from "../db/client.ts";
import { limits } from "../limits.ts";
import { type AuditRecord, numberOf, timeOf } from "./record.ts";
import type { RecordSource, SourcedRecord } from "./source.ts";

/** The records that have come to Postgres. */
export function storedRecords(db: Database): RecordSource {
	return {
		async read(query) {
			const { tenant, before, limit } = query;
			// Where an index has just those that are wanted, no more rows are looked at than are shown.
			const isIndexed =
				query.targetName === null && query.tokenId === null && query.action === null;
			const scan = isIndexed ? limit : Math.max(limit, limits.auditScanRecords);
			const found = await selectEvents(db, tenant, {
				...query,
				before: before === null ? null : { at: timeOf({ id: before }), id: before },
				scan,
			});
			const records = found.events.map((event) => toSourced(tenant, event));
			const last = records.length === limit ? records.at(-1)?.record.id : found.lastId;
			const isAll = found.scanned < scan && records.length < limit;
			return { records, reached: isAll ? null : (last ?? null) };
		},
	};
}

function toSourced(tenant: string, event: FoundEvent): SourcedRecord {
	const record: AuditRecord = {
		id: event.id,
		requestId: event.requestId,
		tenant,
		tokenId: event.tokenId,
		action: event.action,
		target: {
			id: event.targetId,
			name: event.targetName,
			version: event.version,
			algorithm: event.algorithm,
		},
		address: event.address,
		number: numberOf(event.id),
		inputKind:
			event.inputKind === "message" || event.inputKind === "digest" ? event.inputKind : null,
		input: event.input,
		signature: event.signature,
		cost: event.cost,
		outcome: event.outcome,
	};
	return { record, chain: event.chain, sequence: event.sequence, link: event.link };
}

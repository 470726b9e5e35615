import { selectEvents } from "../db/audit-reads.ts";
import type { Database } from "../db/client.ts";
import * as limits from "../limits.ts";
import { fromEventRow } from "./event-rows.ts";
import { timeOf } from "./record.ts";
import type { RecordSource } from "./source.ts";

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
			const records = found.events.map((event) => fromEventRow(tenant, event));
			const last = records.length === limit ? records.at(-1)?.record.id : found.lastId;
			const isAll = found.scanned < scan && records.length < limit;
			return { records, reached: isAll ? null : (last ?? null) };
		},
	};
}

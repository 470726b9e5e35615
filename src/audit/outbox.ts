import type { ChangedRow, OutboxNote } from "../db/audit-outbox.ts";
import type { AppendCall } from "./log.ts";
import { encodeAppend } from "./record.ts";

/**
 * The record of a change. The request that made it and the job that finds its note later make the
 * same bytes, so the log keeps them once.
 */
export function appendOfChange(tenant: string, note: OutboxNote, changed: ChangedRow): AppendCall {
	const { id, requestId, tokenId, action, address, cost, place } = note;
	const target = {
		id: changed.target_id,
		name: changed.target_name ?? "",
		version: changed.version ?? 0,
		algorithm: changed.algorithm ?? "",
	};
	const head = { id, requestId, tenant, tokenId, action, address, target };
	const item = { number: 0, inputKind: null, input: null, signature: null, cost, outcome: "ok" };
	return { place, records: encodeAppend(head, [item]) };
}

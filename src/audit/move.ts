import { type EventRow, insertEvents } from "../db/audit-events.ts";
import type { Database } from "../db/client.ts";
import { type Block, type LinkedRecord, readBlock } from "./block.ts";
import type { ChainHead, ChainName } from "./chain.ts";
import { decodeRecord, timeOf } from "./record.ts";

/**
 * Brings blocks, which follow `moved` in their chain, to Postgres in one statement. However often it
 * is done each record is there once. Answers where the chain is moved to.
 */
export async function moveBlocks(
	db: Database,
	chain: ChainName,
	moved: ChainHead,
	blocks: readonly Block[],
): Promise<ChainHead> {
	const rows: EventRow[] = [];
	let head = moved;
	for (const block of blocks) {
		for (const record of readBlock(head, block)) rows.push(toRow(record));
		head = { sequence: head.sequence + block.count, link: block.link };
	}
	await insertEvents(db, chain, rows);
	return head;
}

function toRow(linked: LinkedRecord): EventRow {
	const { target, tenant: _, number: _number, ...record } = decodeRecord(linked);
	return {
		...record,
		at: timeOf(record),
		targetId: target.id,
		targetName: target.name,
		version: target.version,
		algorithm: target.algorithm,
		sequence: linked.sequence,
		link: linked.link,
	};
}

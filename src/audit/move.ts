import { insertEvents } from "../db/audit-events.ts";
import type { Database } from "../db/client.ts";
import type { Bytes } from "../lib/bytes.ts";
import * as limits from "../limits.ts";
import { type Block, endOf, readBlock } from "./block.ts";
import type { ChainHead, ChainName } from "./chain.ts";
import { packRecords } from "./pack.ts";

/**
 * Brings blocks, which follow `moved` in their chain, to Postgres in one statement. However often it
 * is done each record is there once.
 * @param most records of a statement: where there are more than twice as many, as a block may have by itself,
 * they go one part after the other
 */
export async function moveBlocks(
	db: Database,
	chain: ChainName,
	moved: ChainHead,
	blocks: readonly (Block & { readonly links?: Bytes | undefined })[],
	most: number,
): Promise<void> {
	let head = moved;
	const records = blocks.flatMap((block) => {
		const linked = readBlock(head, block, block.links);
		head = endOf(block);
		return linked;
	});
	const part = Math.max(most, limits.auditMoveRecordsMin);
	const each = records.length > 2 * part ? part : records.length;
	for (let at = 0; at < records.length; at += each) {
		await insertEvents(db, chain, packRecords(records.slice(at, at + each)));
	}
}

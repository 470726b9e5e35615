import { insertEvents } from "../db/audit-events.ts";
import type { Database } from "../db/client.ts";
import { type Block, endOf, readBlock } from "./block.ts";
import type { ChainHead, ChainName } from "./chain.ts";
import { packRecords } from "./pack.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Brings blocks, which follow `moved` in their chain, to Postgres in one statement. However often it
 * is done each record is there once.
 */
export async function moveBlocks(
	db: Database,
	chain: ChainName,
	moved: ChainHead,
	blocks: readonly (Block & { readonly links?: readonly Bytes[] | undefined })[],
): Promise<void> {
	let head = moved;
	const records = blocks.flatMap((block) => {
		const linked = readBlock(head, block, block.links);
		head = endOf(block);
		return linked;
	});
	await insertEvents(db, chain, packRecords(records));
}

import * as limits from "../limits.ts";
import type { Archive } from "./archive-bucket.ts";

/** Deletes the objects of a prefix whose keys are chosen; how many. */
export async function deleteUnder(
	bucket: Archive,
	prefix: string,
	isChosen: (key: string) => boolean,
): Promise<number> {
	let deleted = 0;
	let cursor: string | undefined;
	do {
		const limit = limits.auditArchiveKeysPerCall;
		const page = await bucket.list({ prefix, limit, ...(cursor !== undefined && { cursor }) });
		const keys = page.objects.map(({ key }) => key).filter(isChosen);
		if (keys.length > 0) await bucket.delete(keys);
		deleted += keys.length;
		cursor = page.truncated ? page.cursor : undefined;
	} while (cursor !== undefined);
	return deleted;
}

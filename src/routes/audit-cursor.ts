import type { RecordFilter } from "../audit/source.ts";
import { type Failure, fail } from "../errors.ts";
import { concat, equalConstantTime, fromBase64Url, toBase64Url, utf8 } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import { uuidBytes, uuidText } from "../lib/uuid.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const idBytes = 16;
const markBytes = 8;

/** The id that the next page is before, and a mark of the filter: with another one it would skip records. */
export async function cursorOf(filter: RecordFilter, before: string): Promise<string> {
	return toBase64Url(concat(uuidBytes(before), await markOf(filter)));
}

/** null to begin with the newest. */
export async function readCursor(
	filter: RecordFilter,
	cursor: string | undefined,
): Promise<Result<string | null, Failure>> {
	if (cursor === undefined) return ok(null);
	const bytes = fromBase64Url(cursor);
	if (bytes?.length !== idBytes + markBytes) return badCursor();
	const mark = await markOf(filter);
	return equalConstantTime(bytes.subarray(idBytes), mark)
		? ok(uuidText(bytes.subarray(0, idBytes)))
		: badCursor();
}

async function markOf(filter: RecordFilter): Promise<Bytes> {
	const { tenant, targetId, targetName, tokenId, action, from, to } = filter;
	const text = JSON.stringify([tenant, targetId, targetName, tokenId, action, from, to]);
	const digest = await crypto.subtle.digest("SHA-256", utf8(text));
	return new Uint8Array(digest).slice(0, markBytes);
}

function badCursor() {
	return fail("invalid_cursor", "Send the nextCursor of the page before, with the same filter.");
}

import { firstId, type Page } from "../db/columns.ts";
import { type Failure, fail } from "../errors.ts";
import { fromBase64, toBase64Url, utf8 } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import { isUuid } from "../lib/uuid.ts";
import { limits } from "../limits.ts";

interface PageQuery {
	readonly limit?: number | undefined;
	readonly cursor?: string | undefined;
}

/** Keyset pagination: the cursor is the last id of the page before, opaque to the caller. One row more is read than shown. */
export function readPage({ limit, cursor }: PageQuery): Result<Page, Failure> {
	const size = (limit ?? limits.pageSizeDefault) + 1;
	if (cursor === undefined) return ok({ after: firstId, size });
	const bytes = fromBase64(cursor);
	const after = bytes ? new TextDecoder().decode(bytes) : "";
	if (!isUuid(after)) return fail("invalid_cursor", "Send the nextCursor of the page before.");
	return ok({ after, size });
}

/** The rows to show, and the cursor of the next page if the row beyond them was there. */
export function cutPage<Row extends { readonly id: string }>(
	rows: readonly Row[],
	{ size }: Page,
): { rows: readonly Row[]; nextCursor: string | null } {
	const shown = rows.slice(0, size - 1);
	const last = shown.at(-1);
	const more = rows.length === size && last;
	return { rows: shown, nextCursor: more ? toBase64Url(utf8(last.id)) : null };
}

import { firstId, lastId, type Page, type VersionPage } from "../db/columns.ts";
import type { UsageQuery } from "../db/usage.ts";
import { type Failure, fail } from "../errors.ts";
import { fromBase64, toBase64Url, utf8 } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import { isUuid } from "../lib/uuid.ts";
import { limits } from "../limits.ts";
import { day } from "../schemas/usage.ts";

interface PageQuery {
	readonly limit?: number | undefined;
	readonly cursor?: string | undefined;
}

type DayPage = Pick<UsageQuery, "before" | "size">;

/** Keyset pagination: the cursor is the last id of the page before, opaque to the caller. One row more is read than shown. */
export function readPage(query: PageQuery, begin: string = firstId): Result<Page, Failure> {
	const { cursor, size } = opened(query);
	if (cursor === null) return ok({ after: begin, size });
	return isUuid(cursor) ? ok({ after: cursor, size }) : badCursor();
}

/** The rows to show, and the cursor of the next page if the row beyond them was there. */
export function cutPage<Row extends { readonly id: string }>(
	rows: readonly Row[],
	page: Page,
): { rows: readonly Row[]; nextCursor: string | null } {
	return cut(rows, page, ({ id }) => id);
}

/** The same for versions, newest first: the cursor is the last version of the page before. */
export function readVersionPage(query: PageQuery): Result<VersionPage, Failure> {
	const { cursor, size } = opened(query);
	if (cursor === null) return ok({ before: null, size });
	const before = /^[1-9][0-9]{0,9}$/.test(cursor) ? Number(cursor) : Number.POSITIVE_INFINITY;
	return before <= limits.configVersionMax ? ok({ before, size }) : badCursor();
}

export function cutVersionPage<Row extends { readonly version: number }>(
	rows: readonly Row[],
	page: VersionPage,
): { rows: readonly Row[]; nextCursor: string | null } {
	return cut(rows, page, ({ version }) => String(version));
}

/** The same for days, newest first, and what each has: the cursor is the last of both. */
export function readDayPage(query: PageQuery): Result<DayPage, Failure> {
	const { cursor, size } = opened(query);
	if (cursor === null) return ok({ before: { day: "9999-12-31", targetId: lastId }, size });
	const [day = "", targetId = ""] = cursor.split("/");
	return isDay(day) && isUuid(targetId) ? ok({ before: { day, targetId }, size }) : badCursor();
}

export function cutDayPage<Row extends { readonly day: string; readonly target_id: string }>(
	rows: readonly Row[],
	page: DayPage,
): { rows: readonly Row[]; nextCursor: string | null } {
	return cut(rows, page, (row) => `${row.day}/${row.target_id}`);
}

/** Also of the year's length: Postgres refuses a 30th of February. */
function isDay(text: string): boolean {
	return day.safeParse(text).success;
}

/** `cursor` is its text: null where none was sent, empty where it is none of ours. */
function opened({ limit, cursor }: PageQuery): { cursor: string | null; size: number } {
	const size = (limit ?? limits.pageSizeDefault) + 1;
	if (cursor === undefined) return { cursor: null, size };
	const bytes = fromBase64(cursor);
	return { cursor: bytes ? new TextDecoder().decode(bytes) : "", size };
}

function badCursor() {
	return fail("invalid_cursor", "Send the nextCursor of the page before.");
}

function cut<Row>(
	rows: readonly Row[],
	{ size }: { readonly size: number },
	cursorOf: (row: Row) => string,
): { rows: readonly Row[]; nextCursor: string | null } {
	const shown = rows.slice(0, size - 1);
	const last = shown.at(-1);
	const more = rows.length === size && last !== undefined;
	return { rows: shown, nextCursor: more ? toBase64Url(utf8(cursorOf(last))) : null };
}

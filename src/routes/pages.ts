import { firstId, lastId, type Page, type VersionPage } from "../db/columns.ts";
import type { UsageQuery } from "../db/usage.ts";
import { type Failure, failField } from "../errors.ts";
import { concat, equalConstantTime, fromBase64Url, toBase64Url, utf8 } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import { sha256 } from "../lib/sha256.ts";
import { isUuid } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import { day } from "../schemas/usage.ts";

/** A list as somebody asks for it. A cursor of another one, or of another filter, would skip what is in this one. */
export interface Listing {
	/** The operationId, and what else the path names. */
	readonly of: string;
	readonly tenant: string;
	readonly query: { readonly limit?: number | undefined; readonly cursor?: string | undefined };
}

type DayPage = Pick<UsageQuery, "before" | "size">;

const markBytes = 8;

/** A cursor, opaque to the caller: where the page before ended, behind a mark of its list. */
export function cursorOf(listing: Listing, end: string): string {
	return toBase64Url(concat(markOf(listing), utf8(end)));
}

/** Where the page before ended; null to begin. */
export function readCursor(listing: Listing): Result<string | null, Failure> {
	const { cursor } = listing.query;
	if (cursor === undefined) return ok(null);
	const bytes = fromBase64Url(cursor);
	return bytes && equalConstantTime(bytes.subarray(0, markBytes), markOf(listing))
		? ok(new TextDecoder().decode(bytes.subarray(markBytes)))
		: badCursor();
}

function markOf({ of, tenant, query: { limit: _, cursor: __, ...filter } }: Listing) {
	return sha256(utf8(JSON.stringify([of, tenant, filter]))).subarray(0, markBytes);
}

/** Whoever makes a cursor of their own is told the same. */
export function badCursor() {
	const detail = "Send the nextCursor of the page before, with the same filter.";
	return failField("invalid_cursor", "/cursor", detail);
}

/** Keyset pagination: the next page begins behind the last id of the one before. One row more is read than shown. */
export function readPage(listing: Listing, begin: string = firstId): Result<Page, Failure> {
	return pageOf(listing, (end, size) => {
		const after = end ?? begin;
		return isUuid(after) ? { after, size } : null;
	});
}

/** The rows to show, and the cursor of the next page if the row beyond them was there. */
export function cutPage<Row extends { readonly id: string }>(
	rows: readonly Row[],
	page: Page,
	listing: Listing,
) {
	return cut(rows, page, listing, ({ id }) => id);
}

/** The same for versions, newest first. */
export function readVersionPage(listing: Listing): Result<VersionPage, Failure> {
	return pageOf(listing, (end, size) => {
		if (end === null) return { before: null, size };
		const before = /^[1-9][0-9]{0,9}$/.test(end) ? Number(end) : Number.POSITIVE_INFINITY;
		return before <= limits.configVersionMax ? { before, size } : null;
	});
}

export function cutVersionPage<Row extends { readonly version: number }>(
	rows: readonly Row[],
	page: VersionPage,
	listing: Listing,
) {
	return cut(rows, page, listing, ({ version }) => String(version));
}

/** The same for days, newest first, and what each has. */
export function readDayPage(listing: Listing): Result<DayPage, Failure> {
	return pageOf(listing, (end, size) => {
		const [day = "", targetId = ""] = (end ?? `9999-12-31/${lastId}`).split("/");
		return isDay(day) && isUuid(targetId) ? { before: { day, targetId }, size } : null;
	});
}

export function cutDayPage<Row extends { readonly day: string; readonly target_id: string }>(
	rows: readonly Row[],
	page: DayPage,
	listing: Listing,
) {
	return cut(rows, page, listing, (row) => `${row.day}/${row.target_id}`);
}

/** Also of the year's length: Postgres refuses a 30th of February. */
function isDay(text: string): boolean {
	return day.safeParse(text).success;
}

function pageOf<T>(
	listing: Listing,
	page: (end: string | null, size: number) => T | null,
): Result<T, Failure> {
	const end = readCursor(listing);
	if (!end.ok) return end;
	const found = page(end.value, (listing.query.limit ?? limits.pageSizeDefault) + 1);
	return found ? ok(found) : badCursor();
}

function cut<Row>(
	rows: readonly Row[],
	{ size }: { readonly size: number },
	listing: Listing,
	endOf: (row: Row) => string,
): { rows: readonly Row[]; nextCursor: string | null } {
	const shown = rows.slice(0, size - 1);
	const last = shown.at(-1);
	const more = rows.length === size && last !== undefined;
	return { rows: shown, nextCursor: more ? cursorOf(listing, endOf(last)) : null };
}

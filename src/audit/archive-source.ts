import { archivedDays } from "../db/audit-archives.ts";
import type { Database } from "../db/client.ts";
import { toHex, utf8 } from "../lib/bytes.ts";
import * as limits from "../limits.ts";
import { type Archive, bytesIn } from "./archive-bucket.ts";
import { isKept } from "./archive-kept.ts";
import { type ArchiveFile, loadManifest } from "./manifest.ts";
import {
	type ColumnRow,
	fromColumnRow,
	inMemory,
	type OpenParquet,
	openParquet,
	type Range,
	type RowGroup,
	readRows,
	rowGroups,
	textOrNull,
} from "./parquet.ts";
import { timeOf } from "./record.ts";
import {
	AuditUnreadable,
	firstIdAt,
	isWanted,
	type RecordQuery,
	type RecordSlice,
	type RecordSource,
	type SourcedRecord,
} from "./source.ts";

export interface ArchiveReader {
	readonly db: Database;
	readonly archive: Archive;
}

/** The columns by which records are chosen, and what a query wants of each. */
const chosenBy = {
	target_id: (query: RecordQuery) => query.targetId,
	target_name: (query: RecordQuery) => query.targetName,
	token_id: (query: RecordQuery) => query.tokenId,
	action: (query: RecordQuery) => query.action,
} as const;

/**
 * Records of days that are archived. To be read after Postgres: a day's partition is dropped only when
 * this knows the day. Files are passed over by their manifest, row groups by their statistics, and rows
 * by the columns that a query asks for; whole records are read of the groups that have any.
 */
export function archiveSource({ db, archive }: ArchiveReader): RecordSource {
	return {
		async read(query) {
			const wanted = daysOf(query);
			if (!wanted) return { records: [], reached: null };
			const atMost = limits.auditArchiveDaysPerRead;
			const days = await archivedDays(db, query.tenant, wanted, atMost);
			const search = new Search(archive, query);
			for (const day of days) {
				if (!(await isKept(archive, query.tenant, day))) continue;
				const manifest = await loadManifest(archive, query.tenant, day);
				const isDone = await search.files([...manifest.files].reverse());
				if (isDone) return search.slice();
			}
			const last = days.at(-1);
			const goesOn = last && days.length === atMost;
			return { records: search.records, reached: goesOn ? firstIdAt(Date.parse(last.day)) : null };
		},
	};
}

class Search {
	readonly records: SourcedRecord[] = [];
	readonly #archive: Archive;
	readonly #query: RecordQuery;
	#reached: string | null = null;
	#filesLeft: number = limits.auditArchiveFilesPerRead;

	constructor(archive: Archive, query: RecordQuery) {
		this.#archive = archive;
		this.#query = query;
	}

	slice(): RecordSlice {
		return { records: this.records, reached: this.#reached };
	}

	/** Looks into a day's files, the newest first; true when this was enough for one slice. */
	async files(files: readonly ArchiveFile[]): Promise<boolean> {
		for (const file of files) {
			if (!mayHave(file, this.#query)) continue;
			if (this.#filesLeft === 0) return true;
			this.#filesLeft--;
			await this.#file(file);
			if (this.records.length >= this.#query.limit) {
				this.#reached = this.records.at(-1)?.record.id ?? null;
				return true;
			}
			// It has ids that are less than `before`, so this is nearer to the end than the query began.
			this.#reached = file.first.id;
		}
		return false;
	}

	async #file(file: ArchiveFile): Promise<void> {
		const parquet = await openArchived(this.#archive, file);
		for (const group of rowGroups(parquet).reverse()) {
			const left = this.#query.limit - this.records.length;
			if (left === 0) return;
			if (!groupMayHave(group, this.#query)) continue;
			this.records.push(...(await recordsOf(parquet, group, this.#query, left)));
		}
	}
}

/** Records of a row group, the newest first: which they are by few columns, then what they say. */
async function recordsOf(
	parquet: OpenParquet,
	{ from, to }: RowGroup,
	query: RecordQuery,
	atMost: number,
): Promise<SourcedRecord[]> {
	const asked = Object.entries(chosenBy).filter(([, wants]) => wants(query) !== null);
	const names = ["id", ...asked.map(([name]) => name)];
	const narrow = await readRows(parquet, from, to, names);
	const isMatch = (row: ColumnRow) =>
		isInTime(textOrNull(row, "id") ?? "", query) &&
		asked.every(([name, wants]) => textOrNull(row, name) === wants(query));
	const places = narrow.flatMap((row, index) => (isMatch(row) ? [from + index] : []));
	const newest = places.slice(-atMost);
	const first = newest.at(0);
	if (first === undefined) return [];
	const rows = await readRows(parquet, first, (newest.at(-1) ?? first) + 1);
	return newest
		.map((place) => rows[place - first])
		.flatMap((row) => (row === undefined ? [] : [fromColumnRow(row)]))
		.filter(({ record }) => isWanted(record, query))
		.reverse();
}

function isInTime(id: string, { from, to, before }: RecordQuery): boolean {
	const isBefore = before === null || id < before;
	return (
		isBefore && (from === null || id >= firstIdAt(from)) && (to === null || id < firstIdAt(to))
	);
}

function mayHave({ first, last, targets }: ArchiveFile, query: RecordQuery): boolean {
	const { targetId } = query;
	if (!overlaps({ min: first.id, max: last.id }, query)) return false;
	return targetId === null || targets === null || targets.includes(targetId);
}

/** Whether there can be wanted ids from one to another. */
function overlaps({ min, max }: Range, { from, to, before }: RecordQuery): boolean {
	if (before !== null && min >= before) return false;
	if (to !== null && min >= firstIdAt(to)) return false;
	return from === null || max >= firstIdAt(from);
}

function groupMayHave({ ranges }: RowGroup, query: RecordQuery): boolean {
	const ids = ranges.get("id");
	if (ids && !overlaps(ids, query)) return false;
	return Object.entries(chosenBy).every(([name, wants]) => {
		const [wanted, range] = [wants(query), ranges.get(name)];
		return wanted === null || !range || isWithin(wanted, range);
	});
}

/** Names may have any character, and to compare them as texts puts U+FF21 behind U+1F680 (UTF-16). */
function isWithin(text: string, { min, max }: Range): boolean {
	const bytes = utf8(text);
	return compareBytes(utf8(min), bytes) <= 0 && compareBytes(bytes, utf8(max)) <= 0;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
	const shared = Math.min(a.length, b.length);
	for (let at = 0; at < shared; at++) {
		const difference = (a[at] ?? 0) - (b[at] ?? 0);
		if (difference !== 0) return difference;
	}
	return a.length - b.length;
}

/** Between which days, both included, records can be that are wanted; null for none. */
export function daysOf({ from, to, before }: Pick<RecordQuery, "from" | "to" | "before">) {
	const ends = [lastTime];
	if (to !== null) ends.push(to - 1);
	if (before !== null) ends.push(timeOf({ id: before }));
	const times = { from: Math.max(0, from ?? 0), until: Math.min(...ends) };
	return times.from > times.until ? null : { from: dayAt(times.from), to: dayAt(times.until) };
}

/** The end of the year 9999: what is later has no day as text. */
const lastTime = Date.parse("9999-12-31T23:59:59.999Z");

function dayAt(time: number): string {
	return new Date(Math.min(time, lastTime)).toISOString().slice(0, 10);
}

/** A whole file: to ask R2 for the parts that are needed takes more time than to have all of them. */
export async function openArchived(archive: Archive, file: ArchiveFile): Promise<OpenParquet> {
	const bytes = await bytesIn(archive, file.key);
	const sha256 = await crypto.subtle.digest("SHA-256", bytes);
	if (toHex(new Uint8Array(sha256)) !== file.sha256) {
		throw new AuditUnreadable(`${file.key} is not what its manifest says`);
	}
	return openParquet(inMemory(bytes));
}

import type { EventFilter } from "../db/audit-reads.ts";
import type { Bytes } from "../lib/bytes.ts";
import { type AuditRecord, timeOf } from "./record.ts";

/** A record, and where in which chain it stands. */
export interface SourcedRecord {
	readonly record: AuditRecord;
	/** Of the chain. */
	readonly chain: string;
	readonly sequence: number;
	readonly link: Bytes;
}

export interface RecordFilter extends EventFilter {
	readonly tenant: string;
}

/** What leaves all records of a tenant in. */
export const unfiltered = {
	...{ targetId: null, targetName: null, tokenId: null, action: null },
	...{ from: null, to: null },
};

/** The next records of a filter, the newest first: in the order of their ids, which begin with the time. */
export interface RecordQuery extends RecordFilter {
	/** Only ids that are less than this one, as text; null to begin with the newest. */
	readonly before: string | null;
	/** At least 1. */
	readonly limit: number;
}

/** What a source found in a bounded piece of work. */
export interface RecordSlice {
	/** Up to `limit`, the newest first, none twice. */
	readonly records: readonly SourcedRecord[];
	/**
	 * How far it looked: every match with this id or a greater one is in `records`, so the next query is
	 * `before` it. null when there is nothing more at all. A slice may be empty and not the last.
	 */
	readonly reached: string | null;
}

/** A part of the log did not answer, so what it has is not known. */
export class AuditUnreadable extends Error {
	override readonly name = "AuditUnreadable";
}

/**
 * A place that records are in for a part of their life: the objects, Postgres, R2. A record is written
 * to the next one before it is dropped from the one before, so they are read in that order, one after
 * the other, and what is found twice is counted once (src/audit/merge.ts).
 */
export interface RecordSource {
	/** Throws AuditUnreadable, or DatabaseUnavailable, where it can not be read: a page with a hole is never answered. */
	read(query: RecordQuery): Promise<RecordSlice>;
}

/** Whether a record belongs to a query: what a source that can not filter by itself asks. */
export function isWanted(record: AuditRecord, query: RecordQuery): boolean {
	const { targetId, targetName, tokenId, action, from, to, before } = query;
	const at = timeOf(record);
	return (
		(before === null || record.id < before) &&
		(from === null || at >= from) &&
		(to === null || at < to) &&
		(targetId === null || record.target.id === targetId) &&
		(targetName === null || record.target.name === targetName) &&
		(tokenId === null || record.tokenId === tokenId) &&
		(action === null || record.action === action)
	);
}

/** Compares as `sort` wants it. */
export function newestFirst(a: SourcedRecord, b: SourcedRecord): number {
	return a.record.id < b.record.id ? 1 : a.record.id > b.record.id ? -1 : 0;
}

/** The least id that a record of this time can have. */
export function firstIdAt(time: number): string {
	const digits = Math.min(time, 2 ** 48 - 1)
		.toString(16)
		.padStart(12, "0");
	return `${digits.slice(0, 8)}-${digits.slice(8)}-0000-0000-000000000000`;
}

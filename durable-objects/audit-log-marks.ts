import type { ChainHead, ChainMark } from "../src/audit/chain.ts";
import * as limits from "../src/limits.ts";

/**
 * Links that stay here when their records have moved, one for some hundreds of them: whoever changes
 * records in Postgres, and makes their links anew, does not change these.
 */
type MarkRow = { sequence: number; link: ArrayBuffer; at: number };

/** Keeps the ends of those blocks up to there in which a next one is due. Before they are dropped. */
export function keepMarks(sql: SqlStorage, { sequence }: ChainHead): void {
	// Written into the statement: a number of JavaScript is bound as a real, and would be divided as one.
	const every = limits.auditMarkRecords;
	sql.exec(
		`insert or ignore into marks (sequence, link, at)
		select sequence + count - 1, link, max(last_at, written_at) from blocks
		where sequence <= ? and (sequence + count - 1) / ${every} > (sequence - 1) / ${every}`,
		sequence,
	);
}

/** The nearest place at or behind that number: of records that have moved, or the end of a block. */
export function markAt(sql: SqlStorage, chain: string, sequence: number): ChainMark | null {
	const end = `select sequence + count - 1 as sequence, link, max(last_at, written_at) as at from blocks`;
	const queries = [
		"select * from marks where sequence >= ? order by sequence limit 1",
		`${end} where blocks.sequence <= ? order by blocks.sequence desc limit 1`,
		`${end} where blocks.sequence > ? order by blocks.sequence limit 1`,
	];
	for (const [index, query] of queries.entries()) {
		const [row] = sql.exec<MarkRow>(query, sequence).toArray();
		const isMoved = index === 0;
		if (row && row.sequence >= sequence) {
			return { ...row, link: new Uint8Array(row.link), chain, isMoved };
		}
	}
	return null;
}

/** The oldest: of records that are archived long since, and beyond what there is room for. */
export function forgetMarks(sql: SqlStorage, written: ChainHead, now: number): void {
	const until = now - limits.auditMarksKeptMs;
	const first = written.sequence - limits.auditMarksMost * limits.auditMarkRecords;
	const oldest = "select * from marks order by sequence limit ?";
	const due = (limit: number) =>
		sql
			.exec<MarkRow>(oldest, limit)
			.toArray()
			.filter(({ at, sequence }) => at <= until || sequence <= first);
	if (due(1).length === 0) return;
	for (const { sequence } of due(limits.auditMarksDeletedPerAlarm)) {
		sql.exec("delete from marks where sequence = ?", sequence);
	}
}

import * as limits from "../limits.ts";
import { type Block, readBlock, splitRecords } from "./block.ts";
import type { ChainHead } from "./chain.ts";
import { type AuditRecord, decodeRecord, timeOf } from "./record.ts";
import {
	firstIdAt,
	isWanted,
	newestFirst,
	type RecordQuery,
	type RecordSlice,
	type SourcedRecord,
} from "./source.ts";

/** A block of an object, and when the newest of its records was made. */
export interface TimedBlock extends Block {
	readonly lastAt: number;
}

/** Between which times, both included, records can be that are wanted. */
export function timesWanted({ from, to, before }: RecordQuery): { from: number; until: number } {
	const ends = [to === null ? null : to - 1, before === null ? null : timeOf({ id: before })];
	const until = ends.reduce((a: number, b) => Math.min(a, b ?? a), Number.MAX_SAFE_INTEGER);
	return { from: from ?? 0, until };
}

/**
 * The next records of an object that have not moved yet. Their times are nearly in the order of the
 * chain and not quite: a change's record may come late, and that of a repeated request.
 * @param blocks by their `lastAt`, the newest first
 * @param headBefore the chain before a block that begins there
 */
export function readBacklog(
	blocks: Iterable<TimedBlock>,
	query: RecordQuery,
	chain: string,
	headBefore: (sequence: number) => ChainHead,
): RecordSlice {
	let found: SourcedRecord[] = [];
	let scanned = 0;
	let isCut = false;
	for (const block of blocks) {
		// What is in this block and in those to come has a smaller id than this.
		const bound = firstIdAt(Math.min(block.lastAt, maxTime) + 1);
		const last = found.length >= query.limit ? found.at(-1) : undefined;
		if (last && last.record.id >= bound) return { records: found, reached: last.record.id };
		const isTired = scanned >= limits.auditScanRecords;
		if (isTired && (query.before === null || bound < query.before)) {
			return { records: found, reached: later(bound, isCut ? found.at(-1)?.record.id : bound) };
		}
		const matches = matchesOf(block, query, chain, headBefore);
		scanned += block.count;
		if (matches.length === 0) continue;
		found = [...found, ...matches].sort(newestFirst);
		isCut ||= found.length > query.limit;
		found = found.slice(0, query.limit);
	}
	return { records: found, reached: isCut ? (found.at(-1)?.record.id ?? null) : null };
}

/** The last that 48 bits can say, less the millisecond that is added to it. */
const maxTime = 2 ** 48 - 2;

function later(a: string, b = a): string {
	return a > b ? a : b;
}

function matchesOf(
	block: TimedBlock,
	query: RecordQuery,
	chain: string,
	headBefore: (sequence: number) => ChainHead,
): SourcedRecord[] {
	const records = splitRecords(block.bytes).map(decodeRecord);
	if (!records.some((record) => isWanted(record, query))) return [];
	// The links are made anew only where they are asked for.
	const places = readBlock(headBefore(block.sequence), block);
	return records.flatMap((record, index) => {
		const place = places[index];
		if (!place || !isWanted(record, query)) return [];
		return [{ record: detached(record), chain, sequence: place.sequence, link: place.link }];
	});
}

/** Without the block's bytes behind it, which would travel along. */
function detached(record: AuditRecord): AuditRecord {
	return {
		...record,
		input: record.input?.slice() ?? null,
		signature: record.signature?.slice() ?? null,
	};
}

import { newestFirst, type RecordQuery, type RecordSlice, type RecordSource } from "./source.ts";

/**
 * A source made of others, which stand in the order of a record's way: what moves on while they are
 * read is met once more, or twice and counted once, and never missed. One that can not be read makes
 * the whole fail.
 */
export function inOrder(sources: readonly RecordSource[]): RecordSource {
	return {
		async read(query) {
			let merged: RecordSlice = { records: [], reached: null };
			for (const source of sources) merged = merge(merged, await source.read(query), query);
			return merged;
		},
	};
}

/** A source made of others that no record moves between: some of them are asked at once. */
export function atOnce(sources: readonly RecordSource[], together: number): RecordSource {
	return {
		async read(query) {
			let merged: RecordSlice = { records: [], reached: null };
			for (let at = 0; at < sources.length; at += together) {
				const asked = sources.slice(at, at + together).map((source) => source.read(query));
				for (const slice of await Promise.all(asked)) merged = merge(merged, slice, query);
			}
			return merged;
		},
	};
}

/** As if one source had answered: what one of them did not get to is not known of the other either. */
function merge(a: RecordSlice, b: RecordSlice, { limit }: RecordQuery): RecordSlice {
	const reached = [a.reached, b.reached].reduce((x, y) =>
		x !== null && (y === null || x > y) ? x : y,
	);
	const sorted = [...a.records, ...b.records]
		.sort(newestFirst)
		.filter(
			({ record }, index, all) =>
				record.id !== all[index - 1]?.record.id && (reached === null || record.id >= reached),
		);
	const records = sorted.slice(0, limit);
	const isCut = records.length < sorted.length;
	return { records, reached: isCut ? (records.at(-1)?.record.id ?? null) : reached };
}

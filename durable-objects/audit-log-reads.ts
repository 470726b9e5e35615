import { readBacklog, type TimedBlock, timesWanted } from "../src/audit/backlog.ts";
import type { ChainHead } from "../src/audit/chain.ts";
import type { RecordQuery, RecordSlice } from "../src/audit/source.ts";

type ReadRow = {
	sequence: number;
	count: number;
	link: ArrayBuffer;
	bytes: ArrayBuffer;
	last_at: number;
};

/** Of the records that an object still has. `moved` is the chain up to where Postgres has it. */
export function readObject(
	sql: SqlStorage,
	query: RecordQuery,
	chain: string,
	moved: ChainHead,
): RecordSlice {
	const { from, until } = timesWanted(query);
	const rows = sql.exec<ReadRow>(
		`select sequence, count, link, bytes, last_at from blocks
		where last_at >= ? and first_at <= ? order by last_at desc`,
		...[from, until],
	);
	const headBefore = (sequence: number): ChainHead => {
		const last = "select link from blocks where sequence < ? order by sequence desc limit 1";
		const [row] = sql.exec<{ link: ArrayBuffer }>(last, sequence).toArray();
		return { sequence: sequence - 1, link: row ? new Uint8Array(row.link) : moved.link };
	};
	return readBacklog(timed(rows), query, chain, headBefore);
}

function* timed(rows: Iterable<ReadRow>): Generator<TimedBlock> {
	for (const { sequence, count, link, bytes, last_at: lastAt } of rows) {
		yield { sequence, count, link: new Uint8Array(link), bytes: new Uint8Array(bytes), lastAt };
	}
}

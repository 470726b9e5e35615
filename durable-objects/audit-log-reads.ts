import { readBacklog, type TimedBlock, timesWanted } from "../src/audit/backlog.ts";
import type { ChainHead } from "../src/audit/chain.ts";
import type { RecordQuery, RecordSlice } from "../src/audit/source.ts";

/** When the records of a block were made, which is not the order that they came in. */
const times = `
	alter table blocks add column first_at integer not null default 0;
	alter table blocks add column last_at integer not null default ${Number.MAX_SAFE_INTEGER};
	create index blocks_by_time on blocks (last_at, first_at)`;

/** The columns by which an object of the log is read; one that had blocks before them keeps these. */
export function noteTimes(sql: SqlStorage): void {
	const known = "select 1 from sqlite_master where name = 'blocks' and sql like '%last_at%'";
	if (sql.exec(known).toArray().length === 0) sql.exec(times);
}

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

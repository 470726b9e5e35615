import type { Block } from "../src/audit/block.ts";

/**
 * `written_bytes` counts from the chain's beginning to the block's end, as `moved_bytes` does: what
 * waits for Postgres is a difference, however many blocks there are. Times are milliseconds.
 */
const schema = `
	create table if not exists chain (
		id text not null,
		moved_sequence integer not null,
		moved_link blob not null,
		moved_bytes integer not null
	);
	create table if not exists blocks (
		sequence integer primary key,
		count integer not null,
		link blob not null,
		written_bytes integer not null,
		written_at integer not null,
		bytes blob not null
	);
	create table if not exists repeated (
		id blob primary key,
		sequence integer not null,
		appended_at integer not null
	) without rowid;
	create index if not exists repeated_by_age on repeated (appended_at);
	create table if not exists registered (chain text primary key) without rowid;
	create table if not exists marks (
		sequence integer primary key,
		link blob not null,
		at integer not null
	)`;

export type BlockRow = {
	sequence: number;
	count: number;
	link: ArrayBuffer;
	written_bytes: number;
	written_at: number;
	bytes: ArrayBuffer;
};

export type ChainRow = {
	id: string;
	moved_sequence: number;
	moved_link: ArrayBuffer;
	moved_bytes: number;
};

/** When the records of a block were made, which is not the order that they came in. */
const times = `
	alter table blocks add column first_at integer not null default 0;
	alter table blocks add column last_at integer not null default ${Number.MAX_SAFE_INTEGER};
	create index blocks_by_time on blocks (last_at, first_at)`;

export function createTables(sql: SqlStorage): void {
	sql.exec(schema);
	noteTimes(sql);
}

/** The columns by which an object of the log is read; one that had blocks before them keeps these. */
function noteTimes(sql: SqlStorage): void {
	const known = "select 1 from sqlite_master where name = 'blocks' and sql like '%last_at%'";
	if (sql.exec(known).toArray().length === 0) sql.exec(times);
}

export function toBlock({ sequence, count, link, bytes }: BlockRow): Block {
	return { sequence, count, link: new Uint8Array(link), bytes: new Uint8Array(bytes) };
}

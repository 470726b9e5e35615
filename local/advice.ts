import type pg from "pg";
import { codeOf } from "./problem.ts";

/** Something that may be mended, and the statement that does it or shows more. */
export interface Finding {
	readonly kind:
		| "unused index"
		| "missing index"
		| "analyze"
		| "vacuum"
		| "statistics"
		| "n+1"
		| "slow";
	/** An index, a table or the name of a statement. */
	readonly subject: string;
	readonly why: string;
	/** SQL, or what to do where it is not SQL that mends it. */
	readonly run: string;
}

/** A statement of the service, as pg_stat_statements has counted it. Times in milliseconds. */
export interface NamedStatement {
	readonly name: string;
	readonly calls: number;
	readonly rows: number;
	readonly totalMs: number;
	readonly meanMs: number;
	readonly slowestMs: number;
	/** Of 8 KiB, from memory or not, each call. */
	readonly pages: number;
	readonly text: string;
}

/** Tables of fewer rows are read in whatever way is at hand. */
const largeRows = 10_000;
const scansLeast = 10;
const deadLeast = 1_000;
/** Part of the rows. */
const changedPart = 0.2;
const statementsMost = 500;
/** SQLSTATE object_not_in_prerequisite_state. */
const notLoaded = "55000";

/** By the total of their time. The name is what the service writes behind the first word (src/db/client.ts). */
export async function readStatements(client: pg.Client): Promise<NamedStatement[] | null> {
	const found = await client.query(
		"select 1 from pg_extension where extname = 'pg_stat_statements'",
	);
	if (found.rowCount === 0) return null;
	const { rows } = await client
		.query<NamedStatement>(
			`select name, sum(calls)::float8 as calls, sum(rows)::float8 as rows, sum(total_exec_time) as "totalMs",
			sum(total_exec_time) / sum(calls) as "meanMs", max(max_exec_time) as "slowestMs",
			(sum(shared_blks_hit + shared_blks_read) / sum(calls))::float8 as pages, max(query) as text
		from (select *, substring(query from '^\\s*\\w+ /\\* ([a-z]+\\.[A-Za-z]+) \\*/') as name
			from pg_stat_statements where calls > 0
				and dbid = (select oid from pg_database where datname = current_database())) named
		where name is not null group by name order by sum(total_exec_time) desc limit $1`,
			[statementsMost],
		)
		.catch((error) => {
			// The extension is there, and the library behind it was not loaded at the server's start.
			if (codeOf(error) === notLoaded) return { rows: null };
			throw error;
		});
	return rows;
}

/** What the server's own statistics say against its indexes and tables. */
export async function adviseOnTables(
	client: pg.Client,
	statements: readonly NamedStatement[] | null,
): Promise<Finding[]> {
	const [tables, indexes] = [await readTables(client), await readIndexes(client)];
	const missing = tables
		.filter(isScanned)
		.map((table) => missingIndex(table, indexes, statements ?? []));
	return [
		...(statements ? [] : [noStatements]),
		...missing,
		...indexes.flatMap(unused),
		...tables.flatMap(upkeep),
	];
}

const noStatements: Finding = {
	kind: "statistics",
	subject: "pg_stat_statements",
	why: "the server does not count statements, so nothing is known of them by name",
	run: "create extension if not exists pg_stat_statements; -- and shared_preload_libraries has to name it when the server starts",
};

/** A table, or all partitions of one together. */
interface TableRow {
	readonly name: string;
	readonly columns: readonly string[];
	readonly live: number;
	readonly dead: number;
	readonly changed: number;
	readonly isAnalysed: boolean;
	readonly isPartitioned: boolean;
	readonly scans: number;
	readonly scanned: number;
}

/** What is partitioned has statistics of its own beside its partitions', and no server makes them by itself. */
async function readTables(client: pg.Client): Promise<TableRow[]> {
	const { rows } = await client.query<TableRow>(
		`select root::text as name, array(select attname::text from pg_attribute
				where attrelid = root and attnum > 0 and not attisdropped) as columns,
			sum(n_live_tup)::float8 as live, sum(n_dead_tup)::float8 as dead,
			sum(n_mod_since_analyze)::float8 as changed,
			bool_and(coalesce(last_analyze, last_autoanalyze) is not null
				or (n_live_tup = 0 and pg_partition_root(relid) is distinct from relid)) as "isAnalysed",
			bool_or(pg_partition_root(relid) is not null) as "isPartitioned",
			sum(seq_scan)::float8 as scans, sum(seq_tup_read)::float8 as scanned
		from (select *, coalesce(pg_partition_root(relid), relid::regclass) as root from pg_stat_user_tables) s
		where schemaname = 'public' group by root order by 1`,
	);
	return rows;
}

interface IndexRow {
	readonly name: string;
	readonly table: string;
	readonly columns: readonly string[];
	readonly isConstraint: boolean;
	readonly isPartitioned: boolean;
	readonly uses: number;
	readonly bytes: number;
	readonly live: number;
}

async function readIndexes(client: pg.Client): Promise<IndexRow[]> {
	const { rows } = await client.query<IndexRow>(
		`select root::text as name, i.indrelid::regclass::text as table, i.indisunique as "isConstraint",
			c.relkind = 'I' as "isPartitioned", uses, bytes, live,
			array(select a.attname::text from unnest(i.indkey::int2[]) with ordinality k (attnum, n)
				join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum order by k.n) as columns
		from (select coalesce(pg_partition_root(s.indexrelid), s.indexrelid::regclass) as root,
				sum(s.idx_scan)::float8 as uses, sum(pg_relation_size(s.indexrelid))::float8 as bytes,
				sum(t.n_live_tup)::float8 as live
			from pg_stat_user_indexes s join pg_stat_user_tables t on t.relid = s.relid
			where s.schemaname = 'public' group by 1) used
		join pg_index i on i.indexrelid = root join pg_class c on c.oid = root order by 1`,
	);
	return rows;
}

/** What a constraint stands on is needed, whether or not it is read. */
function unused({ name, isConstraint, isPartitioned, uses, bytes, live }: IndexRow): Finding[] {
	if (isConstraint || uses > 0 || live < largeRows) return [];
	const why = `was not read since the statistics began, over ${live} rows; ${Math.ceil(bytes / 2 ** 20)} MiB`;
	return [
		{
			kind: "unused index",
			subject: name,
			why,
			run: `drop index ${concurrently(isPartitioned)}${name};`,
		},
	];
}

/** Without a lock that others wait for, which is not to be had for all partitions at once. */
const concurrently = (isPartitioned: boolean) => (isPartitioned ? "" : "concurrently ");

function isScanned({ live, scans, scanned }: TableRow): boolean {
	return live >= largeRows && scans >= scansLeast && scanned / scans >= largeRows / 2;
}

/** Of a table that is read from end to end: by what its most expensive statement looks for rows. */
function missingIndex(
	table: TableRow,
	indexes: readonly IndexRow[],
	statements: readonly NamedStatement[],
): Finding {
	const { name, scans, scanned, isPartitioned } = table;
	const why = `read from end to end ${scans} times, ${Math.round(scanned / scans)} rows each`;
	const candidates = statements
		.toSorted((a, b) => b.pages * b.calls - a.pages * a.calls)
		.map((statement) => ({ statement, columns: lookedFor(statement.text, table) }))
		.filter(({ columns }) => columns.length > 0 && !hasIndex(indexes, name, columns));
	const [first] = candidates;
	const look = `select calls, rows, query from pg_stat_statements where query like '%${name}%' order by shared_blks_hit + shared_blks_read desc limit 5;`;
	if (!first) return { kind: "missing index", subject: name, why, run: look };
	return {
		kind: "missing index",
		subject: name,
		why: `${why}; ${first.statement.name} looks for rows by ${first.columns.join(", ")}`,
		run: `create index ${concurrently(isPartitioned)}on ${name} (${first.columns.join(", ")});`,
	};
}

/** Columns of the table that a statement compares: those that have to be equal before those of a range. */
export function lookedFor(text: string, table: Pick<TableRow, "name" | "columns">): string[] {
	const named = new RegExp(
		`\\b(?:from|join|update|into)\\s+${table.name}\\b(?:\\s+(?:as\\s+)?(\\w+))?`,
		"gi",
	);
	const names = [...text.matchAll(named)].map(([, alias]) => alias ?? "");
	if (names.length === 0) return [];
	const owners = new Set([table.name, ...names]);
	const compared = [...text.matchAll(/(?:\b(\w+)\.)?\b(\w+)\s*(=|<=|>=|<|>)\s*(?!>)/g)].filter(
		([, owner, column]) =>
			table.columns.includes(`${column}`) && (owner === undefined || owners.has(owner)),
	);
	const of = (isEqual: boolean) =>
		compared
			.filter(([, , , sign]) => (sign === "=") === isEqual)
			.map(([, , column]) => `${column}`);
	return [...new Set([...of(true), ...of(false)])];
}

/** Whether some index begins with as many of these columns as it has, two at least where there are two. */
function hasIndex(
	indexes: readonly IndexRow[],
	table: string,
	columns: readonly string[],
): boolean {
	const enough = Math.min(2, columns.length);
	return indexes.some(
		(index) =>
			index.table === table && index.columns.slice(0, enough).every((one) => columns.includes(one)),
	);
}

function upkeep({ name, live, dead, changed, isAnalysed }: TableRow): Finding[] {
	const findings: Finding[] = [];
	if (dead >= deadLeast && dead > changedPart * live) {
		const why = `${dead} rows are dead beside ${live}`;
		findings.push({ kind: "vacuum", subject: name, why, run: `vacuum (analyze) ${name};` });
	} else if (
		(!isAnalysed && live >= deadLeast) ||
		(changed >= deadLeast && changed > changedPart * live)
	) {
		const why = isAnalysed
			? `${changed} of ${live} rows changed since`
			: `never, with ${live} rows`;
		findings.push({ kind: "analyze", subject: name, why, run: `analyze ${name};` });
	}
	return findings;
}

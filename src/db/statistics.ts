import type { Clock } from "../lib/clock.ts";
import * as limits from "../limits.ts";
import type { Database, Param, Statement } from "./client.ts";

/** What was asked under one name, as the service waited for it: a statement of a transaction for all of that. */
export interface QueryCounts {
	calls: number;
	failures: number;
	rows: number;
	totalMs: number;
	slowestMs: number;
}

/** What an operator is told of statements: by their names, never with parameters. */
export type QueryEvent =
	| {
			readonly event: "slow_query";
			readonly statement: string;
			readonly milliseconds: number;
			/** null where it failed. */
			readonly rows: number | null;
	  }
	| { readonly event: "query_statistics"; readonly statements: Record<string, QueryCounts> }
	/** One request asked the same again and again: what one statement could have answered (N+1). */
	| {
			readonly event: "repeated_query";
			readonly requestId: string;
			readonly route: string;
			readonly statement: string;
			readonly calls: number;
	  };

type Tell = (event: QueryEvent) => void;

/** The same database; counts by name are told every limits.queryStatisticsMs, while somebody asks. */
export function observed(db: Database, clock: Clock, tell: Tell): Database {
	let counts: Record<string, QueryCounts> = {};
	let names = 0;
	let since = clock();

	function countsOf(name: string): QueryCounts {
		const found = counts[name];
		if (found) return found;
		const own = { calls: 0, failures: 0, rows: 0, totalMs: 0, slowestMs: 0 };
		if (names++ < limits.queryNames) counts[name] = own;
		return own;
	}

	/** `rows` of each, or null: it failed. */
	function note(statements: readonly string[], begun: number, rows: readonly number[] | null) {
		const now = clock();
		const milliseconds = now - begun;
		for (const [at, name] of statements.entries()) {
			const own = countsOf(name);
			own.calls++;
			own.totalMs += milliseconds;
			own.slowestMs = Math.max(own.slowestMs, milliseconds);
			if (rows) own.rows += rows[at] ?? 0;
			else own.failures++;
		}
		if (milliseconds >= limits.slowQueryMs) {
			const statement = [...new Set(statements)].join(", ");
			const all = rows?.reduce((sum, count) => sum + count, 0);
			tell({ event: "slow_query", statement, milliseconds, rows: all ?? null });
		}
		if (now - since < limits.queryStatisticsMs) return;
		tell({ event: "query_statistics", statements: counts });
		counts = {};
		names = 0;
		since = now;
	}

	const timed: Passage = async (statements, work, rowsOf) => {
		const begun = clock();
		let rows: readonly number[] | null = null;
		try {
			const answer = await work();
			rows = rowsOf(answer);
			return answer;
		} finally {
			note(statements, begun, rows);
		}
	};

	return through(db, timed);
}

/** The same database for one request, and what it asked for more often than limits.queriesOfOneName. */
export function tallied(db: Database) {
	const asked = new Map<string, number>();
	const own = through(db, (statements, work) => {
		// One round trip, however often a name is in it.
		for (const name of new Set(statements)) asked.set(name, (asked.get(name) ?? 0) + 1);
		return work();
	});
	const repeated = () => [...asked].filter(([, calls]) => calls > limits.queriesOfOneName);
	return { db: own, repeated };
}

/** What a call goes through: told the names of its statements, and how many rows each of them answered. */
type Passage = <T>(
	statements: readonly string[],
	work: () => Promise<T>,
	rowsOf: (answer: T) => readonly number[],
) => Promise<T>;

function through(db: Database, pass: Passage): Database {
	return {
		query: <Row>(statement: Statement, params: readonly Param[]) =>
			pass(
				[statement.name],
				() => db.query<Row>(statement, params),
				(rows) => [rows.length],
			),
		transaction: (calls) =>
			pass(
				calls.map(({ statement }) => statement.name),
				() => db.transaction(calls),
				(answers) => answers.map((rows) => rows.length),
			),
	};
}

import {
	NeonDbError,
	neon,
	neonConfig,
	DatabaseError as WireError,
} from "@neondatabase/serverless";
import type { Clock } from "../lib/clock.ts";
import * as limits from "../limits.ts";

/** One SQL statement under the name that statistics, plans and logs know it by. */
export interface Statement {
	readonly name: string;
	/** Common table expressions that stand before the text, where it has any that change rows. */
	readonly with?: string;
	readonly text: string;
	/**
	 * For a statement that a request must not repeat: the column of its answer that names what it made
	 * or changed. Rows are its answer exactly when it had its effect (db/effects.ts).
	 */
	readonly effect?: string;
	/** The columns of its answer that say what the effect was on, for the audit log (db/audit-outbox.ts). */
	readonly target?: TargetColumns;
	/** Changes nothing, and its answer may be as old as a read replica is behind (db/replica.ts). */
	readonly mayLag?: true;
}

export interface TargetColumns {
	/** A UUID. */
	readonly id?: string;
	readonly name?: string;
	/** An integer. */
	readonly version?: string;
	readonly algorithm?: string;
}

/** A value that Postgres takes as a parameter. Bytes travel as base64 and are decoded in the statement. */
export type Param = string | number | boolean | null | readonly (string | null)[];

/** A statement with what it is asked for. */
export interface Call {
	readonly statement: Statement;
	readonly params: readonly Param[];
}

export interface Database {
	/** One statement in one round trip. */
	query<Row>(statement: Statement, params: readonly Param[]): Promise<Row[]>;
	/** All of them or none, in one round trip; the rows of each. */
	transaction(calls: readonly Call[]): Promise<Record<string, unknown>[][]>;
}

/** Postgres did not answer, in time or at all. What the statement did is not known. */
export class DatabaseUnavailable extends Error {
	override readonly name = "DatabaseUnavailable";
}

/** Postgres refused the statement. Nothing of it remains. */
export class DatabaseError extends Error {
	override readonly name = "DatabaseError";
	readonly sqlState: string;
	readonly constraint: string | undefined;

	constructor(statement: string, sqlState: string, constraint: string | undefined) {
		// Postgres repeats values in its messages, so only the state and the constraint are kept.
		super(`${statement}: SQLSTATE ${sqlState}${constraint ? ` (${constraint})` : ""}`);
		this.sqlState = sqlState;
		this.constraint = constraint;
	}
}

export function isUniqueViolation(error: unknown, constraint: string): boolean {
	return (
		error instanceof DatabaseError && error.sqlState === "23505" && error.constraint === constraint
	);
}

export function isCheckViolation(error: unknown, constraint: string): boolean {
	return (
		error instanceof DatabaseError && error.sqlState === "23514" && error.constraint === constraint
	);
}

/** Fails where it is later than that by the clock of Postgres, and with it the transaction that it stands in. */
const inTimeStatement: Statement = {
	name: "changes.inTime",
	text: `select 1 / (clock_timestamp() < 'epoch'::timestamptz + $1::bigint * interval '1 millisecond')::integer`,
};
export const closingStatements = { inTime: inTimeStatement };
const divisionByZero = "22012";

/**
 * The same database, for calls that begin before that time: what is not done by then is not done at all.
 * Whoever asks looks at it, and Postgres does too: a call may wait on its way for longer than its sender lives.
 */
export function closingAt(db: Database, clock: Clock, time: number): Database {
	const over = () => new DatabaseUnavailable("the time for this change is over");
	const transaction: Database["transaction"] = async (calls) => {
		if (clock() >= time) throw over();
		const first = { statement: inTimeStatement, params: [time] };
		try {
			return (await db.transaction([first, ...calls])).slice(1);
		} catch (error) {
			const isLate = error instanceof DatabaseError && error.sqlState === divisionByZero;
			throw isLate ? over() : error;
		}
	};
	return {
		async query<Row>(statement: Statement, params: readonly Param[]) {
			if (clock() >= time) throw over();
			if (!statement.effect) return db.query<Row>(statement, params);
			const [rows = []] = await transaction([{ statement, params }]);
			return rows as Row[];
		},
		transaction,
	};
}

export interface DatabaseAddress {
	readonly databaseUrl: string;
	/** null where the database is Neon's own. */
	readonly neonGateway: string | null;
}

/** Postgres through Neon's HTTP form: no connection outlives a request. */
export function createDatabase(
	{ databaseUrl, neonGateway }: DatabaseAddress,
	timeoutMs: number = limits.databaseTimeoutMs,
): Database {
	if (neonGateway) neonConfig.fetchEndpoint = () => `${neonGateway}/sql`;
	const sql = neon(databaseUrl);
	/** Not AbortSignal.timeout, which stays for its whole time: an object is not evicted until the last one is over. */
	async function inTime<T>(
		ask: (options: { readonly fetchOptions: object }) => Promise<T>,
	): Promise<T> {
		const giveUp = new AbortController();
		const late = () => giveUp.abort(new DOMException("no answer", "TimeoutError"));
		const timer = setTimeout(late, timeoutMs);
		try {
			return await ask({ fetchOptions: { signal: giveUp.signal } });
		} finally {
			clearTimeout(timer);
		}
	}

	return {
		async query<Row>(statement: Statement, params: readonly Param[]) {
			try {
				const text = labelled(statement);
				const rows = await inTime((options) => sql.query(text, [...params], options));
				return rows as Row[];
			} catch (error) {
				throw translate(statement.name, error);
			}
		},
		async transaction(calls) {
			try {
				const queries = calls.map(({ statement, params }) =>
					sql.query(labelled(statement), [...params]),
				);
				return await inTime((options) => sql.transaction(queries, options));
			} catch (error) {
				throw translate(calls.map((call) => call.statement.name).join(", "), error);
			}
		},
	};
}

/**
 * The name travels as a comment, so that Postgres' own statistics and logs show it too: behind the first
 * word, because pg_stat_statements leaves out what is before that, and early, because pg_stat_activity
 * shows the beginning.
 */
export function labelled({ name, with: steps, text }: Statement): string {
	const query = (steps === undefined ? text : `with ${steps} ${text}`).trimStart();
	const end = query.search(/\s/);
	return `${query.slice(0, end)} /* ${name} */${query.slice(end)}`;
}

/**
 * Classes 08 (connection), 53 (resources), 57 (shutdown, cancelled), 58 (its system, its disk), the time-outs of
 * transactions, 40P01, a deadlock that was ended at this statement's cost, and 25006, which a primary answers that is becoming a standby: no statement of ours asks for a
 * transaction that only reads. The server could not, rather than would not. Not 40001 (db/replica.ts) or 55P03,
 * which say whose turn it is.
 */
const unavailableStates = /^(08|53|57|58|25006|25P03|25P04|40P01)/;

/** What the driver threw, over HTTP or a WebSocket, in our own words. */
export function translate(name: string, error: unknown): DatabaseUnavailable | DatabaseError {
	const isRefusal = error instanceof NeonDbError || error instanceof WireError;
	const state = isRefusal ? error.code : undefined;
	if (!isRefusal || !state || unavailableStates.test(state)) {
		return new DatabaseUnavailable(`${name}: ${state ?? reasonOf(error)}`);
	}
	return new DatabaseError(name, state, error.constraint);
}

function reasonOf(error: unknown): string {
	const source = error instanceof NeonDbError ? error.sourceError : error;
	return source instanceof Error ? source.name : "unknown";
}

export const pingStatement: Statement = { name: "service.ping", text: "select 1" };

/** Resolves when Postgres answers. */
export async function ping(db: Database): Promise<void> {
	await db.query(pingStatement, []);
}

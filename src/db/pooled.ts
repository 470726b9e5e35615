import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import * as limits from "../limits.ts";
import {
	type Database,
	type DatabaseAddress,
	DatabaseUnavailable,
	labelled,
	type Param,
	type Statement,
} from "./client.ts";
import { type After, Pool, type PoolBounds, PoolUnavailable } from "./pool.ts";
import type { PoolEvent, PoolFigures } from "./pool-figures.ts";
import { type Connection, connectWebSocket } from "./websocket.ts";

/** One statement after the other, each knowing what the ones before it answered. */
export type Transaction = Pick<Database, "query">;

/** Postgres over connections that are kept: only for a Durable Object, whose calls may share them. */
export interface PooledDatabase extends Database {
	/**
	 * What `work` did is committed when it resolves, and rolled back when it rejects or takes longer than
	 * `timeoutMs`: limits.databaseTransactionMs, where Postgres ends it too, when it is left out. @throws DatabaseUnavailable when that is not known, or nothing was done
	 */
	withTransaction<T>(
		name: string,
		work: (tx: Transaction) => Promise<T>,
		timeoutMs?: number,
	): Promise<T>;
	figures(): PoolFigures;
	close(): void;
}

interface PooledOptions {
	readonly clock: Clock;
	readonly random: Random;
	readonly log: (event: PoolEvent) => void;
}

const poolBounds: PoolBounds = {
	size: limits.poolSize,
	overflow: limits.poolOverflow,
	overflowAfterMs: limits.poolOverflowAfterMs,
	openingAtOnce: limits.poolOpeningAtOnce,
	waitersMax: limits.poolWaiters,
	acquireTimeoutMs: limits.poolAcquireTimeoutMs,
	checkAfterMs: limits.poolCheckAfterMs,
	idleMs: limits.poolIdleMs,
	leakMs: limits.poolLeakMs,
	retryMs: limits.poolConnectRetryMs,
	retryMsMax: limits.poolConnectRetryMsMax,
};

const afterTimer: After = (milliseconds, work) => {
	const timer = setTimeout(work, milliseconds);
	return () => clearTimeout(timer);
};

/** The pool of an object. It opens nothing until it is asked, and nothing stays open when it is not asked any more. */
export function connectPool(
	address: DatabaseAddress,
	{ clock, random, log }: PooledOptions,
): PooledDatabase {
	const pool = new Pool<Connection>({
		connect: connectWebSocket(address, afterTimer),
		isPassing: (error) => error instanceof DatabaseUnavailable,
		bounds: poolBounds,
		clock,
		random,
		after: afterTimer,
		onLeak: (borrower, milliseconds) => log({ event: "pool_leak", borrower, milliseconds }),
		onRest: (figures) => log({ event: "pool_rested", ...figures }),
	});

	async function use<T>(name: string, work: (connection: Connection) => Promise<T>): Promise<T> {
		const loan = await pool.acquire(name).catch((error: unknown) => {
			throw error instanceof PoolUnavailable ? unavailable(error) : error;
		});
		try {
			return await work(loan.connection);
		} finally {
			loan.giveBack();
		}
	}

	const withTransaction: PooledDatabase["withTransaction"] = (
		name,
		work,
		timeoutMs = limits.databaseTransactionMs,
	) => use(name, (own) => runTransaction(own, { name, work, timeoutMs }));

	return {
		async query<Row>(statement: Statement, params: readonly Param[]) {
			const { name } = statement;
			const { rows } = await use(name, (own) => own.query(name, labelled(statement), params));
			return rows as Row[];
		},
		transaction(calls) {
			const name = calls.map(({ statement }) => statement.name).join(", ");
			return withTransaction(name, async (tx) => {
				const answers: Record<string, unknown>[][] = [];
				for (const { statement, params } of calls) answers.push(await tx.query(statement, params));
				return answers;
			});
		},
		withTransaction,
		figures: () => pool.figures(),
		close: () => pool.close(),
	};
}

function unavailable(cause: PoolUnavailable): DatabaseUnavailable {
	return new DatabaseUnavailable(cause.message, { cause });
}

interface Interactive<T> {
	readonly name: string;
	readonly work: (tx: Transaction) => Promise<T>;
	readonly timeoutMs: number;
}

/** Leaves the connection without a transaction, or closed. */
async function runTransaction<T>(
	connection: Connection,
	{ name, work, timeoutMs }: Interactive<T>,
): Promise<T> {
	let isOver = false;
	const late = Promise.withResolvers<never>();
	const cancel = afterTimer(timeoutMs, () => {
		// It is not known what runs now, and who closes it need not know: Postgres rolls back.
		connection.close();
		late.reject(new DatabaseUnavailable(`${name}: not done in ${timeoutMs} ms`));
	});
	const tx: Transaction = {
		async query<Row>(statement: Statement, params: readonly Param[]) {
			if (isOver) throw new Error(`${statement.name}: the transaction ${name} is over`);
			const { rows } = await connection.query(statement.name, labelled(statement), params);
			return rows as Row[];
		},
	};
	try {
		await connection.query(name, "begin", []);
		const value = await Promise.race([work(tx), late.promise]);
		isOver = true;
		const { command } = await connection.query(name, "commit", []);
		// What Postgres answers where a statement failed and `work` went on without a word.
		if (command !== "COMMIT") throw new Error(`${name}: was rolled back`);
		return value;
	} catch (error) {
		isOver = true;
		if (connection.isOpen)
			await connection.query(name, "rollback", []).catch(() => connection.close());
		throw error;
	} finally {
		cancel();
	}
}

import { connect as connectSocket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { RequestError } from "./neon-answers.ts";

// 8 pools of 10 fit into PostgreSQL's default of 100 connections, with room for tunnels.
const poolsMax = 8;
const connectionsPerPool = 10;
const waitingPerPool = 1_000;
const connectTimeoutMs = 5_000;
const idleTimeoutMs = 30_000;
const cancelTimeoutMs = 1_000;
/** The server's own timeout speaks first, with a Postgres error; this one is for a server that hangs. */
const readTimeoutMarginMs = 5_000;
/** Protocol 3.0, CancelRequest. */
const cancelRequestCode = 80_877_102;

/** Where PostgreSQL listens. */
export interface ServerAddress {
	readonly host: string;
	readonly port: number;
}

export interface Pools {
	/** A connection that was opened with the user and password of this connection string. */
	connect(connectionString: string): Promise<pg.PoolClient>;
	/** @param keep false closes the connection: nothing may be left of what was done on it */
	release(client: pg.PoolClient, keep: boolean): void;
	/** Asks the server to give up what it runs for this connection. */
	cancel(client: pg.PoolClient): void;
	/** Closes every connection, busy ones too. */
	end(): Promise<void>;
}

/** No connection was had: the reason is the cause. */
export class ConnectFailure extends Error {
	override readonly name = "ConnectFailure";
}

/** @throws Error when it is not a URL of a Postgres server over TCP */
export function addressOf(databaseUrl: string): ServerAddress {
	const { hostname, port } = new URL(databaseUrl);
	if (hostname === "") throw new Error("the database URL has no host");
	return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 5432) };
}

/**
 * One pool per connection string, so that a connection is only ever used by a caller who knows
 * the password it was opened with. The pool unused for longest makes room for a new one.
 */
export function createPools(server: ServerAddress, statementTimeoutMs: number): Pools {
	const pools = new Map<string, pg.Pool>();
	const busy = new Set<pg.PoolClient>();

	function poolFor(connectionString: string): pg.Pool {
		let pool = pools.get(connectionString);
		if (pool)
			pools.delete(connectionString); // and in again at the end: the last one used
		else pool = createPool(server, connectionString, statementTimeoutMs);
		pools.set(connectionString, pool);
		for (const [oldest, unused] of pools) {
			if (pools.size <= poolsMax) break;
			pools.delete(oldest);
			void unused.end();
		}
		return pool;
	}

	return {
		async connect(connectionString) {
			const pool = poolFor(connectionString);
			if (pool.waitingCount >= waitingPerPool)
				throw new RequestError(429, "too many requests wait");
			try {
				const client = await pool.connect();
				busy.add(client);
				return client;
			} catch (cause) {
				// A wrong password must not push out the pool of a right one.
				if (pool.totalCount === 0 && pools.get(connectionString) === pool) {
					pools.delete(connectionString);
					void pool.end();
				}
				throw new ConnectFailure("no connection to the database", { cause });
			}
		},
		release(client, keep) {
			busy.delete(client);
			client.release(!keep);
		},
		cancel: (client) => cancelBackend(server, client),
		async end() {
			const ended = [...pools.values()].map((pool) => pool.end());
			pools.clear();
			for (const client of busy) {
				cancelBackend(server, client);
				void (client as unknown as pg.Client).end();
			}
			await Promise.race([Promise.all(ended), sleep(cancelTimeoutMs)]);
		},
	};
}

function createPool(
	server: ServerAddress,
	connectionString: string,
	statementTimeoutMs: number,
): pg.Pool {
	const { password, ...identity } = identityOf(connectionString);
	const pool = new pg.Pool({
		...identity,
		...server,
		password: () => password, // a function: for an empty string pg would look in the environment
		ssl: false,
		max: connectionsPerPool,
		connectionTimeoutMillis: connectTimeoutMs,
		idleTimeoutMillis: idleTimeoutMs,
		keepAlive: true,
		onConnect: (client) => limitStatements(client, statementTimeoutMs),
		query_timeout: statementTimeoutMs + readTimeoutMarginMs,
	});
	// A connection that is lost has left the pool; whoever uses it learns it from their query.
	pool.on("error", () => {});
	pool.on("connect", (client) => client.on("error", () => {}));
	return pool;
}

/**
 * Where the role has no statement_timeout of its own. As a parameter of the connection it would come
 * before the role's, which counts at Neon.
 */
async function limitStatements(client: pg.ClientBase, milliseconds: number): Promise<void> {
	await client.query(
		`select set_config('statement_timeout', $1, false)
		where current_setting('statement_timeout') = '0'`,
		[String(milliseconds)],
	);
}

/** Who the caller says they are. The host is ours to choose: every endpoint is this one server. */
function identityOf(connectionString: string) {
	const parts = /^postgres(?:ql)?:(.*)$/s.exec(connectionString);
	try {
		const url = new URL(`http:${parts?.[1]}`);
		const user = decodeURIComponent(url.username);
		const database = decodeURIComponent(url.pathname.slice(1));
		const options = url.searchParams.get("options");
		const application = url.searchParams.get("application_name");
		if (parts && user && database) {
			return {
				user,
				password: decodeURIComponent(url.password),
				database,
				...(options ? { options } : {}),
				...(application ? { application_name: application } : {}),
			};
		}
	} catch {
		// Told below, without the string: it has a password in it.
	}
	throw new RequestError(400, "invalid connection string: it needs a user, a host and a database");
}

/** The query runs on when its connection is merely closed: the server has to be told. */
function cancelBackend(server: ServerAddress, client: pg.PoolClient): void {
	const { processID, secretKey } = client as pg.PoolClient & BackendKey;
	if (processID === null || secretKey === null) return;
	const message = Buffer.alloc(16);
	message.writeInt32BE(16, 0);
	message.writeInt32BE(cancelRequestCode, 4);
	message.writeInt32BE(processID, 8);
	message.writeInt32BE(secretKey, 12);
	const socket = connectSocket(server);
	socket.on("error", () => {}); // a server that is gone runs nothing
	socket.setTimeout(cancelTimeoutMs, () => socket.destroy());
	socket.end(message);
}

interface BackendKey {
	readonly processID: number | null;
	readonly secretKey: number | null;
}

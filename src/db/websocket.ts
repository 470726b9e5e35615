import { Client } from "@neondatabase/serverless";
import * as limits from "../limits.ts";
import { type DatabaseAddress, DatabaseUnavailable, type Param, translate } from "./client.ts";
import type { After, PoolConnection } from "./pool.ts";

/** What Postgres answered; `command` is that of its completion, such as `COMMIT`. */
export interface Answer {
	readonly rows: Record<string, unknown>[];
	readonly command: string;
}

export interface Connection extends PoolConnection {
	/** @param name what errors say. @throws DatabaseUnavailable, and is closed, when it is not known what was done */
	query(name: string, text: string, params: readonly Param[]): Promise<Answer>;
}

/** What pg_stat_activity shows. */
const applicationName = "edgesign pool";

/** Postgres through the driver's WebSocket form, for who may keep a connection: a Durable Object. */
export function connectWebSocket(
	{ databaseUrl, neonGateway }: DatabaseAddress,
	after: After,
): () => Promise<Connection> {
	return async () => {
		const client = new Client({ connectionString: databaseUrl, application_name: applicationName });
		if (neonGateway) pointAt(client, neonGateway);
		const connection = wrap(client, after);
		try {
			const connected = client.connect();
			await inTime(connected, limits.poolConnectTimeoutMs, after);
			return connection;
		} catch (error) {
			connection.close();
			throw translate("connect", error);
		}
	};
}

/** The local gateway is no proxy of Neon's: it has no TLS, and Postgres behind it takes no cleartext password. */
function pointAt({ neonConfig }: Client, neonGateway: string): void {
	const { host, protocol } = new URL(neonGateway);
	neonConfig.wsProxy = `${host}/v2`;
	neonConfig.useSecureWebSocket = protocol === "https:";
	neonConfig.pipelineConnect = false;
}

function wrap(client: Client, after: After): Connection {
	// Else the driver sends a timer's turn later: a millisecond more, and its last words over what is closed.
	client.neonConfig.coalesceWrites = false;
	let isOpen = true;
	const noteEnd = () => {
		isOpen = false;
	};
	client.on("error", noteEnd);
	client.on("end", noteEnd);
	const connection: Connection = {
		get isOpen() {
			return isOpen;
		},
		async query(name, text, params) {
			if (!isOpen) throw new DatabaseUnavailable(`${name}: the connection is closed`);
			try {
				const asked = client.query(text, [...params]);
				const { rows, command } = await inTime(asked, limits.databaseTimeoutMs, after);
				return { rows, command };
			} catch (error) {
				const told = translate(name, error);
				if (told instanceof DatabaseUnavailable) connection.close();
				throw told;
			}
		},
		async check() {
			await inTime(client.query("select 1"), limits.poolCheckTimeoutMs, after);
		},
		close() {
			isOpen = false;
			client.end().catch(() => {});
		},
	};
	return connection;
}

async function inTime<T>(work: Promise<T>, milliseconds: number, after: After): Promise<T> {
	const late = Promise.withResolvers<never>();
	const cancel = after(milliseconds, () => {
		const error = new Error(`no answer in ${milliseconds} ms`);
		error.name = "TimeoutError";
		late.reject(error);
	});
	try {
		return await Promise.race([work, late.promise]);
	} finally {
		cancel();
		work.catch(() => {}); // what comes later is nobody's
	}
}

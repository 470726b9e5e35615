import type { IncomingHttpHeaders } from "node:http";
import pg from "pg";
import type { Answer } from "./gateway.ts";
import { errorBody, type Output, RequestError, resultOf, typesFor } from "./neon-answers.ts";
import { ConnectFailure, type Pools } from "./neon-pools.ts";
import { inOneLine } from "./problem.ts";

const responseCharactersMax = 64 * 1024 * 1024; // Neon: max_response_size_bytes
const statementsMax = 10_000;
/** The count of parameters is 16 bits wide in the Bind message of the Postgres protocol. */
const parametersMax = 65_535;

interface Statement {
	readonly query: string;
	readonly params: readonly unknown[];
	readonly arrayMode: boolean | undefined;
}

const isolationLevels: Readonly<Record<string, string>> = {
	ReadUncommitted: "READ UNCOMMITTED",
	ReadCommitted: "READ COMMITTED",
	RepeatableRead: "REPEATABLE READ",
	Serializable: "SERIALIZABLE",
};

/** After these a session is as it was before; any other (SET, LISTEN, PREPARE, ...) may leave traces. */
const tracelessCommands = new Set(["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", ""]);

/** Codes of a connection that is refused for what the caller sent (28: authorization, 3D: database). */
const callersFault = /^(28|3D|22|42)/;

/**
 * One request to /sql: `{query, params}`, or `{queries: [...]}` for a transaction.
 * What it answers is told by Neon's proxy (proxy/src/serverless/sql_over_http.rs).
 * @param signal gives up the request: its statement is cancelled, its connection closed
 */
export async function answerSql(
	pools: Pools,
	headers: IncomingHttpHeaders,
	body: Buffer,
	signal: AbortSignal,
): Promise<Answer> {
	try {
		const connectionString = headers["neon-connection-string"];
		if (typeof connectionString !== "string") {
			throw new RequestError(400, "missing header Neon-Connection-String");
		}
		const begin = beginStatement(headers);
		const statements = parseStatements(body);
		const client = await pools.connect(connectionString);
		const output = outputFor(pools, client, headers);
		const run: Run = { pools, client, signal, output, leftTraces: false };
		if (Array.isArray(statements)) {
			const json = await withClient(run, () => runBatch(run, begin, statements));
			return { status: 200, body: json, headers: echo(headers) };
		}
		const single = async () => JSON.stringify(await execute(run, statements));
		return { status: 200, body: await withClient(run, single) };
	} catch (error) {
		return refusal(error);
	}
}

function refusal(error: unknown): Answer {
	if (error instanceof RequestError) return { status: error.status, body: errorBody(error) };
	if (error instanceof pg.DatabaseError) return { status: 400, body: errorBody(error) };
	if (!(error instanceof ConnectFailure)) return { status: 500, body: errorBody(error) };
	const { cause } = error;
	if (cause instanceof pg.DatabaseError) {
		return { status: callersFault.test(cause.code ?? "") ? 400 : 500, body: errorBody(cause) };
	}
	if (cause instanceof RequestError) return refusal(cause);
	// An empty password: `pg` refuses to send it, the server would have refused to take it.
	if (inOneLine(cause).includes("client password must be")) {
		return { status: 400, body: errorBody(error, "password authentication failed: it is empty") };
	}
	return { status: 500, body: errorBody(cause, `${error.message}: ${inOneLine(cause)}`) };
}

function parseStatements(body: Buffer): Statement | Statement[] {
	let payload: unknown;
	try {
		payload = JSON.parse(body.toString("utf8"));
	} catch {
		throw new RequestError(400, "the body is not JSON");
	}
	if (!isRecord(payload) || !("queries" in payload)) return parseStatement(payload);
	const { queries } = payload;
	if (!Array.isArray(queries)) throw new RequestError(400, "queries must be an array");
	if (queries.length > statementsMax) {
		throw new RequestError(400, `at most ${statementsMax} statements fit into one transaction`);
	}
	return queries.map(parseStatement);
}

function parseStatement(value: unknown): Statement {
	if (!isRecord(value) || typeof value.query !== "string") {
		throw new RequestError(400, "a statement must be an object with a string query");
	}
	const { query, params = [], arrayMode } = value;
	if (!Array.isArray(params)) throw new RequestError(400, "params must be an array");
	if (params.length > parametersMax) {
		throw new RequestError(400, `at most ${parametersMax} parameters fit into one statement`);
	}
	return { query, params, arrayMode: typeof arrayMode === "boolean" ? arrayMode : undefined };
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null;
}

const batchHeaders = [
	"neon-batch-isolation-level",
	"neon-batch-read-only",
	"neon-batch-deferrable",
] as const;

function beginStatement(headers: IncomingHttpHeaders): string {
	const [level, readOnly, deferrable] = batchHeaders.map((name) => headers[name]);
	const isolation = typeof level === "string" ? isolationLevels[level] : undefined;
	if (level !== undefined && isolation === undefined) {
		throw new RequestError(400, "invalid isolation level");
	}
	const modes = [
		isolation ? `ISOLATION LEVEL ${isolation}` : "",
		readOnly === "true" ? "READ ONLY" : "",
		deferrable === "true" ? "DEFERRABLE" : "",
	];
	return `BEGIN ${modes.filter(Boolean).join(", ")}`;
}

/** Neon answers a transaction with the modes that it ran in. */
function echo(headers: IncomingHttpHeaders): Record<string, string> {
	const modes: Record<string, string> = {};
	for (const name of batchHeaders) {
		const value = headers[name];
		if (typeof value === "string" && value !== "false") modes[name] = value;
	}
	return modes;
}

function outputFor(pools: Pools, client: pg.PoolClient, headers: IncomingHttpHeaders): Output {
	return {
		rawText: headers["neon-raw-text-output"] === "true",
		arrayMode: headers["neon-array-mode"] === "true",
		charactersLeft: responseCharactersMax,
		onTooLarge: () => pools.cancel(client),
	};
}

interface Run {
	readonly pools: Pools;
	readonly client: pg.PoolClient;
	readonly signal: AbortSignal;
	readonly output: Output;
	/** A statement has run that may outlive its transaction in the session. */
	leftTraces: boolean;
}

async function runBatch(run: Run, begin: string, statements: Statement[]): Promise<string> {
	const { client, signal } = run;
	await client.query(begin);
	try {
		const results: object[] = [];
		for (const statement of statements) results.push(await execute(run, statement));
		signal.throwIfAborted();
		await client.query("COMMIT");
		return JSON.stringify({ results });
	} catch (error) {
		// Where even this fails, the connection is closed, and with it the transaction.
		if (!signal.aborted) await client.query("ROLLBACK").catch(() => {});
		throw error;
	}
}

/** Gives the connection back if it is as it was, and closes it otherwise. */
async function withClient(run: Run, work: () => Promise<string>): Promise<string> {
	const { pools, client, signal, output } = run;
	const cancel = () => pools.cancel(client);
	signal.addEventListener("abort", cancel, { once: true });
	// The server may end a connection between two statements (25P04): the next one knows only that it is gone.
	let ended: pg.DatabaseError | null = null;
	const noteEnd = (error: unknown) => {
		if (error instanceof pg.DatabaseError) ended = error;
	};
	client.on("error", noteEnd);
	let sound = false;
	try {
		const json = await work();
		sound = true;
		return json;
	} catch (error) {
		// A statement that was refused left nothing: PostgreSQL rolled it back.
		sound = error instanceof pg.DatabaseError && error.severity === "ERROR";
		throw error instanceof pg.DatabaseError ? error : (ended ?? error);
	} finally {
		client.off("error", noteEnd);
		signal.removeEventListener("abort", cancel);
		const cancelled = signal.aborted || output.charactersLeft < 0;
		const idle = client.getTransactionStatus() === "I";
		pools.release(client, sound && idle && !cancelled && !run.leftTraces);
	}
}

async function execute(run: Run, { query, params, arrayMode }: Statement): Promise<object> {
	run.signal.throwIfAborted();
	// The extended protocol, with or without parameters: it takes one statement, as at Neon.
	const config = {
		text: query,
		values: [...params],
		rowMode: "array" as const,
		queryMode: "extended",
		types: typesFor(run.output),
	};
	const result = await run.client.query(config);
	if (!tracelessCommands.has(result.command ?? "")) run.leftTraces = true;
	return resultOf(result, arrayMode ?? run.output.arrayMode);
}

import { createHash, timingSafeEqual } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import {
	type Answer,
	BodyTooLarge,
	closeServer,
	gatewayServer,
	listen,
	readBody,
} from "./gateway.ts";
import { loopback } from "./ports.ts";
import { inOneLine, Problem } from "./problem.ts";
import { connectEngine } from "./redis-client.ts";
import {
	type Command,
	CommandError,
	EngineUnavailable,
	type RedisEngine,
	type Reply,
} from "./redis-engine.ts";
import {
	commandFromBody,
	commandFromPath,
	commandsFromBody,
	itemOf,
	MalformedRequest,
	refusalOf,
} from "./redis-rest.ts";
import { findRedisServer, startRedisServer } from "./redis-server.ts";

const bodyBytesMax = 10 * 1024 * 1024; // Upstash: the request size of its paid plans
const startTimeoutMs = 10_000;

/** What the commands run in: a server started here, one that was there already, or this process. */
export type RedisEngineName = "redis-server" | "external" | "in-process";

export interface RedisGatewayOptions {
	/** The data folder; a server that is started works there, but keeps everything in memory. */
	readonly dataDir: string;
	/** The bearer token that every request must bring. */
	readonly token: string;
	/** Any free port of 127.0.0.1 when it is left out. */
	readonly port?: number;
	/** A Redis to use, `redis://` or `rediss://`; by default what the variable REDIS_URL says. */
	readonly redisUrl?: string;
	/** In-process even where there is a Redis. */
	readonly inProcess?: boolean;
	/** Told the process id of each redis-server that is started: one that ends is started again. */
	readonly onSpawn?: (pid: number) => void;
}

export interface RedisGateway {
	readonly url: string;
	readonly engine: RedisEngineName;
	/** Of the redis-server that runs now, if one was started here. */
	readonly pid: number | undefined;
	stop(): Promise<void>;
}

interface Backend {
	readonly name: RedisEngineName;
	readonly engine: RedisEngine;
	readonly pid?: number;
	stop(): Promise<void>;
}

/**
 * Speaks Upstash's REST form, so that `@upstash/redis` works unchanged, in front of a real Redis
 * where there is one: `redisUrl`, else REDIS_URL, else `redis-server` on the PATH, else in-process.
 * https://upstash.com/docs/redis/features/restapi
 * @throws Problem when the Redis that was named or found does not answer
 */
export async function startRedisGateway(options: RedisGatewayOptions): Promise<RedisGateway> {
	const backend = await startBackend(options);
	const expected = digest(options.token);
	const server = gatewayServer(async (request) => {
		const [path = "/", search] = request.url?.split("?", 2) ?? [];
		const query = new URLSearchParams(search);
		const token = tokenOf(request) ?? query.get("_token");
		if (token === null || !timingSafeEqual(digest(token), expected)) {
			return error(401, "WRONGPASS invalid or missing auth token");
		}
		query.delete("_token");
		return answer(backend.engine, request, path, query);
	});
	try {
		const url = await listen(server, options.port ?? 0, loopback);
		return {
			url,
			engine: backend.name,
			get pid() {
				return backend.pid;
			},
			async stop() {
				await closeServer(server);
				await backend.stop();
			},
		};
	} catch (error) {
		await backend.stop();
		throw error;
	}
}

/**
 * REDIS_URL, if it is set. Whoever is given one that can not be would try it again and again.
 * @throws Problem without its text, which may have a password in it
 */
export function givenRedis(): string | undefined {
	const url = process.env.REDIS_URL || undefined;
	if (url === undefined || isRedisUrl(url)) return url;
	throw new Problem("REDIS_URL is no address of a Redis: redis://:PASSWORD@HOST:PORT is one");
}

function isRedisUrl(text: string): boolean {
	const url = URL.canParse(text) ? new URL(text) : null;
	return url !== null && /^rediss?:$/.test(url.protocol) && /^(\/\d*)?$/.test(url.pathname);
}

async function startBackend(options: RedisGatewayOptions): Promise<Backend> {
	const redisUrl = options.redisUrl ?? givenRedis();
	if (redisUrl && !options.inProcess) {
		const engine = await connectEngine(redisUrl, AbortSignal.timeout(startTimeoutMs)).catch(
			// Without the URL, which may have a password in it.
			(error: Error) => {
				throw new Problem(`the Redis of REDIS_URL does not answer: ${inOneLine(error.cause)}`);
			},
		);
		return { name: "external", engine, stop: () => engine.close() };
	}
	const program = options.inProcess ? undefined : findRedisServer();
	if (program) {
		const { dataDir, onSpawn } = options;
		await mkdir(dataDir, { recursive: true });
		const server = await startRedisServer({ program, dataDir, onSpawn });
		return Object.assign(server, { name: "redis-server" as const });
	}
	// Only then: it brings an interpreter of Lua with it.
	const { createMemoryEngine } = await import("./redis-memory.ts");
	const engine = await createMemoryEngine();
	return { name: "in-process", engine, stop: () => engine.close() };
}

/** Of equal length whatever was sent, so that the comparison takes equal time. */
function digest(token: string): Buffer {
	return createHash("sha256").update(token).digest();
}

function tokenOf(request: IncomingMessage): string | null {
	return /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1] ?? null;
}

function error(status: number, message: string): Answer {
	return { status, body: JSON.stringify({ error: message }) };
}

async function answer(
	engine: RedisEngine,
	request: IncomingMessage,
	path: string,
	query: URLSearchParams,
): Promise<Answer> {
	if (!/^(GET|HEAD|POST|PUT)$/.test(request.method ?? "")) {
		return error(405, "ERR method not allowed");
	}
	const base64 = request.headers["upstash-encoding"] === "base64";
	try {
		const body = await readBody(request, bodyBytesMax);
		if (path === "/pipeline") return pipeline(await runAll(engine, commandsFromBody(body)), base64);
		if (path === "/multi-exec") return await multiExec(engine, commandsFromBody(body), base64);
		const command = path === "/" ? commandFromBody(body) : commandFromPath(path, query, body);
		const [reply = null] = await runAll(engine, [command]);
		const status = reply instanceof CommandError ? 400 : 200;
		return { status, body: JSON.stringify(itemOf(reply, base64)) };
	} catch (cause) {
		if (cause instanceof MalformedRequest) return error(400, cause.message);
		if (cause instanceof EngineUnavailable) return error(503, `ERR ${cause.message}`);
		if (!(cause instanceof BodyTooLarge)) return error(500, `ERR ${inOneLine(cause)}`);
		return error(413, `ERR max request size exceeded. Limit: ${bodyBytesMax} bytes.`);
	}
}

/** Runs what may be run, and puts the refusals of the rest in their places. */
async function runAll(engine: RedisEngine, commands: readonly Command[]): Promise<Reply[]> {
	const refusals = commands.map(refusalOf);
	const replies = (await engine.run(commands.filter((_, i) => !refusals[i]))).values();
	return refusals.map((refusal) => refusal ?? replies.next().value ?? null);
}

function pipeline(replies: readonly Reply[], base64: boolean): Answer {
	return { status: 200, body: JSON.stringify(replies.map((reply) => itemOf(reply, base64))) };
}

/** Discarded as a whole when one command is refused before it runs. */
async function multiExec(
	engine: RedisEngine,
	commands: readonly Command[],
	base64: boolean,
): Promise<Answer> {
	const refusal = commands.map(refusalOf).find((refused) => refused !== undefined);
	const replies = refusal ?? (await engine.transaction(commands));
	return replies instanceof CommandError ? error(400, replies.message) : pipeline(replies, base64);
}

import { Redis, type RedisOptions, ReplyError } from "ioredis";
import { inOneLine } from "./problem.ts";
import {
	CommandError,
	EngineUnavailable,
	isBytes,
	type RedisEngine,
	type Reply,
} from "./redis-engine.ts";

const connectTimeoutMs = 2_000;
const answerTimeoutMs = 2_000;
const reconnectMsMax = 500;
/** A password or a user that is not right, as the versions of Redis say it. */
const refused = /^(WRONGPASS|NOAUTH|NOPERM|ERR invalid password)/;

/**
 * A Redis server over one connection that all requests share, and that comes back by itself.
 * @param giveUp ends the wait for the first answer
 * @throws EngineUnavailable when it has not answered by then; the cause says why
 */
export async function connectEngine(
	target: string | RedisOptions,
	giveUp: AbortSignal,
): Promise<RedisEngine> {
	const options: RedisOptions = {
		connectTimeout: connectTimeoutMs,
		disableClientInfo: true,
		// While it is away, and when it goes, every request is told so at once. Nothing is sent twice.
		enableOfflineQueue: false,
		autoResendUnfulfilledCommands: false,
		maxRetriesPerRequest: 0,
		retryStrategy: (attempt) => Math.min(attempt * 50, reconnectMsMax),
		// A server that hangs: the connection is given up, and with it what waits on it.
		socketTimeout: answerTimeoutMs,
	};
	const redis =
		typeof target === "string" ? new Redis(target, options) : new Redis({ ...options, ...target });
	let lastError: unknown;
	redis.on("error", (error) => {
		lastError = error;
	});
	try {
		await ready(redis, giveUp);
	} catch (error) {
		redis.disconnect();
		throw new EngineUnavailable("Redis does not answer", { cause: lastError ?? error });
	}
	return engineOver(redis);
}

function ready(redis: Redis, giveUp: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		redis.once("ready", resolve);
		redis.on("error", (error) => {
			if (refused.test(error.message)) reject(error); // no later attempt will do better
		});
		giveUp.throwIfAborted();
		giveUp.addEventListener("abort", () => reject(giveUp.reason), { once: true });
	});
}

function engineOver(redis: Redis): RedisEngine {
	return {
		async run(commands) {
			assertReady(redis);
			const pipeline = redis.pipeline();
			// Names in capitals: ioredis reshapes the replies of some commands by their small name.
			for (const [name, ...args] of commands) pipeline.callBuffer(name, args);
			const outcomes = await inTime(pipeline.exec());
			return (outcomes ?? []).map(([error, reply]) => replyOf(error ?? reply));
		},
		async transaction(commands) {
			assertReady(redis);
			const multi = redis.multi();
			for (const [name, ...args] of commands) multi.callBuffer(name, args);
			try {
				const outcomes = await inTime(multi.exec());
				return (outcomes ?? []).map(([error, reply]) => replyOf(error ?? reply));
			} catch (error) {
				const reply = replyOf(error);
				if (reply instanceof CommandError) return reply;
				throw error;
			}
		},
		async close() {
			redis.disconnect();
		},
	};
}

function assertReady(redis: Redis): void {
	if (redis.status !== "ready") throw new EngineUnavailable("Redis is not connected");
}

async function inTime<T>(work: Promise<T>): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		const error = new EngineUnavailable(`Redis did not answer in ${answerTimeoutMs} ms`);
		timer = setTimeout(() => reject(error), answerTimeoutMs);
	});
	try {
		return await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}

/** @throws EngineUnavailable for a failure that is not Redis' own answer */
function replyOf(value: unknown): Reply {
	if (value === null || typeof value === "number" || isBytes(value)) return value;
	if (Array.isArray(value)) return value.map(replyOf);
	if (value instanceof ReplyError) return new CommandError(inOneLine(value));
	if (value instanceof EngineUnavailable) throw value;
	throw new EngineUnavailable("the connection to Redis was lost", { cause: value });
}

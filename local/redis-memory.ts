import RedisMock from "ioredis-mock";
import {
	type Command,
	CommandError,
	isBytes,
	type RedisEngine,
	type Reply,
} from "./redis-engine.ts";
import {
	bytesOf,
	checkCommand,
	commandTable,
	keysOf,
	type MockStore,
	sizeOf,
} from "./redis-memory-rules.ts";

const weightMax = 64 * 1024 * 1024;
/** What a key costs besides its value, in bytes: about. */
const keyOverheadBytes = 100;
let instances = 0;

/**
 * For machines without Redis: the same commands inside this process, for one developer at a time.
 * It knows fewer commands than Redis, and scripts may use `redis.call`, KEYS, ARGV and plain Lua
 * alone, with option names in capitals. Scripts are not confined: callers are trusted.
 */
export async function createMemoryEngine(): Promise<RedisEngine> {
	instances += 1;
	// Mocks of one address share their data.
	const mock = new RedisMock({ host: "in-process", port: instances });
	const store = mock as unknown as MockStore;
	const table = await commandTable(mock);
	const weights = createWeights(store);

	/** The mock computes before it returns its promise, so nothing comes between two calls. */
	function start(command: Command): Promise<unknown> {
		try {
			const [name, ...args] = checkCommand(table, store, command);
			const method: unknown = Reflect.get(mock, `${name.toLowerCase()}Buffer`);
			if (typeof method !== "function") throw new CommandError(`ERR unknown command '${name}'`);
			const outcome = Promise.resolve(Reflect.apply(method, mock, args));
			weights.update(keysOf(table, command), command);
			return outcome;
		} catch (error) {
			return Promise.reject(error);
		}
	}

	async function run(commands: readonly Command[]): Promise<Reply[]> {
		const outcomes = await Promise.allSettled(commands.map(start));
		return outcomes.map((outcome) =>
			outcome.status === "fulfilled" ? replyOf(outcome.value) : errorOf(outcome.reason),
		);
	}

	return {
		run,
		async transaction(commands) {
			const known = commands.every(([name, ...args]) => table.get(name)?.takes(args.length));
			if (known) return run(commands);
			return new CommandError("EXECABORT Transaction discarded because of previous errors.");
		},
		async close() {
			await mock.flushall();
			mock.disconnect();
		},
	};
}

function replyOf(value: unknown): Reply {
	if (value === null || value === undefined || value === false) return null; // false: nil in Lua
	if (value === true) return 1;
	if (typeof value === "number") return Math.trunc(value);
	if (typeof value === "string") return Buffer.from(value);
	if (isBytes(value)) return value;
	if (Array.isArray(value)) return value.map(replyOf);
	if (Object.getPrototypeOf(value) === Object.prototype) {
		return Object.entries(value).flat().map(replyOf); // HGETALL
	}
	return new CommandError("ERR the in-process engine can not return this value");
}

function errorOf(error: unknown): CommandError {
	if (error instanceof CommandError) return error;
	const message = error instanceof Error ? error.message : "the command failed";
	if (message.startsWith("Unsupported command")) {
		return new CommandError("ERR unknown command: the in-process engine does not have it");
	}
	return new CommandError(/^[A-Z]{3,} /.test(message) ? message : `ERR ${message}`);
}

/** The bound on memory: past it, the keys that were not used for longest are dropped. */
function createWeights(store: MockStore) {
	const weights = new Map<string, number>(); // in the order of last use
	let total = 0;

	function set(key: string, weight: number | undefined): void {
		total += (weight ?? 0) - (weights.get(key) ?? 0);
		weights.delete(key);
		if (weight !== undefined) weights.set(key, weight);
	}

	return {
		update(keys: readonly string[], command: Command): void {
			for (const key of keys) {
				const sent = (weights.get(key) ?? keyOverheadBytes + key.length) + bytesOf(command);
				set(
					key,
					store.data.has(key) ? (sizeOf(store.data.get(key)) ?? sent) + key.length : undefined,
				);
			}
			for (const oldest of weights.keys()) {
				if (total <= weightMax) break;
				store.data.delete(oldest);
				set(oldest, undefined);
			}
		},
	};
}

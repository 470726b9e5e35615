import type { Redis } from "ioredis";
import { type Command, CommandError, isBytes } from "./redis-engine.ts";

// What Redis checks and ioredis-mock does not: the form of a command and the type of its keys.

/** What is used of ioredis-mock besides its commands. All of it answers at once. */
export interface MockStore {
	readonly data: {
		has(key: string): boolean;
		get(key: string): unknown;
		delete(key: string): void;
	};
	readonly expires: { has(key: string): boolean; get(key: string): number };
}

type Family = "string" | "hash" | "list" | "set" | "sortedset";
const families: readonly Family[] = ["string", "hash", "list", "set", "sortedset"];

interface Rule {
	takes(argumentCount: number): boolean;
	readonly family: Family | undefined;
	/** Positions of the keys in the command; the name is 0, and a last of -1 means to the end. */
	readonly firstKey: number;
	readonly lastKey: number;
	readonly keyStep: number;
}
/** By name, in capitals. */
export type CommandTable = ReadonlyMap<string, Rule>;

/** Redis' own table of commands, which the mock carries for COMMAND. */
export async function commandTable(mock: Redis): Promise<CommandTable> {
	const rows: readonly unknown[] = await mock.command("INFO");
	const rules = new Map<string, Rule>();
	for (const row of rows) {
		if (!Array.isArray(row)) continue;
		const [name, arity, , firstKey, lastKey, keyStep, categories] = row.map((field) => field);
		rules.set(String(name).toUpperCase(), {
			takes: (count) => (arity > 0 ? count + 1 === arity : count + 1 >= -arity),
			family: families.find((family) => categories.includes(`@${family}`)),
			firstKey,
			lastKey,
			keyStep,
		});
	}
	return rules;
}

const script = /^EVAL(SHA)?$/;

export function keysOf(table: CommandTable, command: Command): string[] {
	const [name, ...args] = command;
	if (script.test(name)) return args.slice(2, 2 + Number(args[1])).map(String);
	const { firstKey = 0, lastKey = 0, keyStep = 1 } = table.get(name) ?? {};
	if (firstKey === 0) return [];
	const end = lastKey < 0 ? command.length + lastKey : lastKey;
	return command
		.filter((_, i) => i >= firstKey && i <= end && (i - firstKey) % keyStep === 0)
		.map(String);
}

/** Bytes of a string value; undefined for the other types. */
export function sizeOf(value: unknown): number | undefined {
	return typeof value === "string" || isBytes(value) ? value.length : undefined;
}

export function bytesOf(command: Command): number {
	return command.reduce((sum, part) => sum + part.length, 0);
}

/**
 * The command in the form that the mock understands.
 * @throws CommandError with Redis' own words where Redis would refuse it
 */
export function checkCommand(table: CommandTable, store: MockStore, command: Command): Command {
	const [name, ...args] = command;
	const rule = table.get(name);
	if (!rule) throw new CommandError(`ERR unknown command '${name}'`);
	if (!rule.takes(args.length)) {
		throw new CommandError(`ERR wrong number of arguments for '${name.toLowerCase()}' command`);
	}
	checkTypes(rule, store, name, keysOf(table, command));
	numberChecks.get(name)?.(store, args.map(String), name);
	if (name === "SET") return rewriteSet(store, args);
	if (name === "ZADD") return [name, ...capitalsBeforeNumbers(args)];
	return command;
}

/** These replace the value whatever its type was, or (MGET, SETNX) do not look at it. */
const anyType = new Set(["SET", "SETEX", "PSETEX", "SETNX", "MSET", "MSETNX", "MGET"]);

function checkTypes({ family }: Rule, store: MockStore, name: string, keys: string[]): void {
	if (family === undefined || anyType.has(name)) return;
	for (const key of name.endsWith("STORE") ? keys.slice(1) : keys) {
		if (store.data.has(key) && familyOf(store.data.get(key)) !== family) {
			throw new CommandError("WRONGTYPE Operation against a key holding the wrong kind of value");
		}
	}
}

function familyOf(value: unknown): Family {
	if (typeof value === "string" || isBytes(value)) return "string";
	if (value instanceof Set) return "set";
	if (value instanceof Map) return "sortedset";
	return Array.isArray(value) ? "list" : "hash";
}

const notAnInteger = "ERR value is not an integer or out of range";
type Arguments = readonly (string | Buffer)[];
type NumberCheck = (store: MockStore, args: readonly string[], name: string) => void;

const counter: NumberCheck = (store, [key = "", step = "1"]) => {
	assertInteger(step);
	assertInteger(store.data.get(key) ?? "0");
};
const lifetime: NumberCheck = (_store, [, value = ""], name) => assertLifetime(name, value);
const expiry: NumberCheck = (_store, [, value = "", option]) => {
	assertInteger(value);
	if (option !== undefined) throw new CommandError(`ERR Unsupported option ${option}`);
};
const scriptKeys: NumberCheck = (_store, [, count = "", ...rest]) => {
	assertInteger(count);
	if (Number(count) <= rest.length) return;
	throw new CommandError("ERR Number of keys can't be greater than number of args");
};
const hashCounter: NumberCheck = (store, [key = "", field = "", step = ""]) => {
	assertInteger(step);
	const value: unknown = Reflect.get(Object(store.data.get(key) ?? {}), field);
	assertInteger(value ?? "0", "ERR hash value is not an integer");
};
const numberChecks = new Map<string, NumberCheck>([
	["INCR", counter],
	["DECR", counter],
	["INCRBY", counter],
	["DECRBY", counter],
	["HINCRBY", hashCounter],
	["SETEX", lifetime],
	["PSETEX", lifetime],
	["EXPIRE", expiry],
	["PEXPIRE", expiry],
	["EXPIREAT", expiry],
	["PEXPIREAT", expiry],
	["EVAL", scriptKeys],
	["EVALSHA", scriptKeys],
]);

function assertInteger(value: unknown, message = notAnInteger): void {
	const number = /^-?\d{1,19}$/.test(String(value)) ? BigInt(String(value)) : undefined;
	if (number === undefined || BigInt.asIntN(64, number) !== number) throw new CommandError(message);
}

function assertLifetime(name: string, value: string): void {
	assertInteger(value);
	if (BigInt(value) > 0n) return;
	throw new CommandError(`ERR invalid expire time in '${name.toLowerCase()}' command`);
}

/** The mock wants capitals and the lifetime before the other options, and does not know KEEPTTL. */
function rewriteSet(store: MockStore, [key = "", value = "", ...options]: Arguments): Command {
	const flags: string[] = [];
	let lifetime: string[] = [];
	const words = options.map((option) => String(option).toUpperCase());
	for (let i = 0; i < words.length; i++) {
		const word = words[i] ?? "";
		if (["NX", "XX", "GET"].includes(word)) {
			flags.push(word);
		} else if (word === "KEEPTTL" && lifetime.length === 0) {
			const name = String(key);
			if (store.expires.has(name)) lifetime = ["PXAT", String(store.expires.get(name))];
		} else if (["EX", "PX", "EXAT", "PXAT"].includes(word) && lifetime.length === 0) {
			i += 1;
			assertLifetime("SET", words[i] ?? "");
			lifetime = [word, words[i] ?? ""];
		} else {
			throw new CommandError("ERR syntax error");
		}
	}
	return ["SET", key, value, ...lifetime, ...flags];
}

/** The options of ZADD stand before the first score. */
function capitalsBeforeNumbers([key = "", ...rest]: Arguments): (string | Buffer)[] {
	const scores = rest.findIndex((word) => !Number.isNaN(Number(word)));
	return [key, ...rest.map((word, i) => (i < scores ? String(word).toUpperCase() : word))];
}

import { type Command, CommandError, isBytes, type Reply } from "./redis-engine.ts";

const commandsMax = 10_000;

/** Each of these would change or block the one connection that all requests share, or stop Redis. */
const unavailable = new Set(
	[
		"AUTH HELLO QUIT RESET SELECT CLIENT MULTI EXEC DISCARD WATCH UNWATCH ASKING READONLY READWRITE",
		"SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE MONITOR SYNC PSYNC",
		"BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF",
		"ACL BGREWRITEAOF BGSAVE CLUSTER CONFIG DEBUG FAILOVER MIGRATE MODULE REPLCONF REPLICAOF",
		"SAVE SHUTDOWN SLAVEOF SWAPDB",
	].flatMap((line) => line.split(" ")),
);

/** A request that is not of the REST form. */
export class MalformedRequest extends Error {
	override readonly name = "MalformedRequest";
}

/** Why the command may not be run here, if so. */
export function refusalOf(command: Command): CommandError | undefined {
	const [name] = command;
	if (!unavailable.has(name) && !waitsForStream(command)) return undefined;
	return new CommandError(`ERR Command is not available: '${name}'`);
}

function waitsForStream([name, ...args]: Command): boolean {
	if (name !== "XREAD" && name !== "XREADGROUP") return false;
	const words = args.map((arg) => String(arg).toUpperCase());
	return words.slice(0, words.indexOf("STREAMS")).includes("BLOCK");
}

/** `["SET", "foo", "bar"]` */
export function commandFromBody(body: Buffer): Command {
	return commandFrom(parse(body));
}

/** `[["SET", "foo", "bar"], ["GET", "foo"]]` */
export function commandsFromBody(body: Buffer): Command[] {
	const list = parse(body);
	if (!Array.isArray(list)) throw new MalformedRequest("ERR the body must be an array of commands");
	if (list.length === 0) throw new MalformedRequest("ERR empty pipeline request");
	if (list.length > commandsMax) {
		throw new MalformedRequest(`ERR too many commands in one request. Limit: ${commandsMax}`);
	}
	return list.map(commandFrom);
}

/** `/set/foo?EX=100` with the value in the body is `SET foo <body> EX 100`. */
export function commandFromPath(path: string, query: URLSearchParams, body: Buffer): Command {
	const [name, ...args] = path.slice(1).split("/").map(decode);
	if (!name) throw new MalformedRequest("ERR empty command");
	const options = [...query].flatMap(([option, value]) => (value ? [option, value] : [option]));
	return [name.toUpperCase(), ...args, ...(body.length > 0 ? [body] : []), ...options];
}

function decode(part: string): string {
	try {
		return decodeURIComponent(part);
	} catch {
		throw new MalformedRequest("ERR the path is not percent-encoded UTF-8");
	}
}

function parse(body: Buffer): unknown {
	try {
		return JSON.parse(body.toString("utf8"));
	} catch {
		throw new MalformedRequest("ERR failed to parse the body as JSON");
	}
}

function commandFrom(value: unknown): Command {
	if (!Array.isArray(value)) throw new MalformedRequest("ERR a command must be an array");
	const [name, ...args] = value.map(argument);
	if (!name) throw new MalformedRequest("ERR empty command");
	return [name.toUpperCase(), ...args];
}

function argument(value: unknown): string {
	if (typeof value === "string") return value;
	if (typeof value === "number" || typeof value === "boolean") return String(value);
	throw new MalformedRequest("ERR a command must consist of strings, numbers and booleans");
}

/** `{"result": ...}` or `{"error": "..."}`. */
export function itemOf(reply: Reply, base64: boolean): object {
	if (reply instanceof CommandError) return { error: reply.message };
	// The driver passes a bare "OK" on and decodes everything else.
	if (isBytes(reply) && reply.equals(ok)) return { result: "OK" };
	return { result: jsonOf(reply, base64 ? "base64" : "utf8") };
}

const ok = Buffer.from("OK");

function jsonOf(reply: Reply, encoding: "base64" | "utf8"): unknown {
	if (isBytes(reply)) return reply.toString(encoding);
	if (reply instanceof CommandError) return Buffer.from(reply.message).toString(encoding);
	return Array.isArray(reply) ? reply.map((item) => jsonOf(item, encoding)) : reply;
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "@upstash/redis";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { freePort } from "../../local/ports.ts";
import { commandLine, endProcess, isAlive } from "../../local/processes.ts";
import { type RedisGateway, startRedisGateway } from "../../local/redis.ts";
import { findRedisServer, startRedisServer } from "../../local/redis-server.ts";

const token = "a-token-of-the-test";
const program = findRedisServer();
if (!program) {
	console.warn("redis-server is not on the PATH: these tests run with the in-process engine alone");
}
const engines = [
	{ engine: "in-process", inProcess: true },
	...(program ? [{ engine: "redis-server", inProcess: false }] : []),
];

let dataDir: string;
beforeAll(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "redis-gateway-"));
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

/** A redisUrl of "" keeps REDIS_URL out, which the machine may have set. */
function start(inProcess: boolean, more: { onSpawn?: (pid: number) => void } = {}) {
	return startRedisGateway({ dataDir, token, redisUrl: "", inProcess, ...more });
}

function clientOf(gateway: RedisGateway, auto = false): Redis {
	const options = { enableTelemetry: false, enableAutoPipelining: auto, retry: false } as const;
	return new Redis({ url: gateway.url, token, ...options });
}

/** A request that the driver would not send, or an answer before the driver has read it. */
async function ask(
	{ url }: RedisGateway,
	path: string,
	init: RequestInit & { headers?: Record<string, string> } = {},
) {
	const headers = { authorization: `Bearer ${token}`, ...init.headers };
	const response = await fetch(`${url}${path}`, { method: "POST", ...init, headers });
	return { status: response.status, json: (await response.json()) as unknown };
}

const post = (gateway: RedisGateway, path: string, value: unknown) =>
	ask(gateway, path, { body: JSON.stringify(value) });

/** Of the time that a key was given, some may be over. */
function expectLeft(left: number, given: number): void {
	expect(left).toBeGreaterThanOrEqual(0.9 * given);
	expect(left).toBeLessThanOrEqual(given);
}

describe.each(engines)("the REST form before $engine", ({ engine, inProcess }) => {
	let gateway: RedisGateway;
	let redis: Redis;

	beforeAll(async () => {
		gateway = await start(inProcess);
		redis = clientOf(gateway);
	});
	afterAll(() => gateway.stop());
	beforeEach(async () => {
		await redis.flushdb();
	});

	it("says which engine it has", () => {
		expect(gateway.engine).toBe(engine);
		expect(gateway.pid === undefined).toBe(inProcess);
	});

	it("keeps strings, numbers and JSON, and has null for what is not there", async () => {
		expect(await redis.set("text", "ü€😀\n\"'")).toBe("OK");
		expect(await redis.get("text")).toBe("ü€😀\n\"'");
		await redis.set("json", { a: [1, null, "x"] });
		expect(await redis.get("json")).toEqual({ a: [1, null, "x"] });
		await redis.set("empty", "");
		expect(await redis.get("empty")).toBe("");
		await redis.set("ok", "OK");
		expect(await redis.get("ok")).toBe("OK");
		expect(await redis.get("none")).toBeNull();
		expect(await redis.mset({ a: 1, b: "two" })).toBe("OK");
		expect(await redis.mget("a", "none", "b", "ok")).toEqual([1, null, "two", "OK"]);
		expect(await redis.exists("a", "b", "none")).toBe(2);
		expect(await redis.del("a", "none")).toBe(1);
		expect(await redis.get("a")).toBeNull();
	});

	it("lets keys expire", async () => {
		await redis.set("seconds", "x", { ex: 100 });
		await redis.set("milliseconds", "x", { px: 60_000 });
		expectLeft(await redis.ttl("seconds"), 100);
		expect(await redis.get("milliseconds")).toBe("x");
		expectLeft(await redis.pttl("milliseconds"), 60_000);
		expect(await redis.pexpire("milliseconds", 1)).toBe(1);
		await expect.poll(() => redis.get("milliseconds")).toBeNull();
		expect(await redis.ttl("milliseconds")).toBe(-2);
		expect(await redis.set("seconds", "y", { keepTtl: true })).toBe("OK");
		expectLeft(await redis.ttl("seconds"), 100);
		expect(await redis.persist("seconds")).toBe(1);
		expect(await redis.ttl("seconds")).toBe(-1);
		expect(await redis.expire("seconds", 50)).toBe(1);
		expect(await redis.pexpire("none", 50)).toBe(0);
		expect(await redis.pttl("seconds")).toBeGreaterThan(40_000);
		await redis.set("seconds", "z");
		expect(await redis.ttl("seconds")).toBe(-1);
		await expect(redis.set("seconds", "z", { ex: 0 })).rejects.toThrow("invalid expire time");
	});

	it("sets only what is not there, or only what is", async () => {
		expect(await redis.set("lock", "a", { nx: true, ex: 10 })).toBe("OK");
		expect(await redis.set("lock", "b", { nx: true, ex: 10 })).toBeNull();
		expect(await redis.get("lock")).toBe("a");
		expect(await redis.set("none", "b", { xx: true })).toBeNull();
		expect(await redis.set("lock", "c", { xx: true, get: true })).toBe("a");
		expect(await redis.get("lock")).toBe("c");
	});

	it("counts, and refuses to count what is no integer", async () => {
		expect(await redis.incr("n")).toBe(1);
		expect(await redis.incrby("n", 41)).toBe(42);
		expect(await redis.decr("n")).toBe(41);
		await redis.set("text", "abc");
		await expect(redis.incr("text")).rejects.toThrow("value is not an integer or out of range");
		expect(await redis.get("text")).toBe("abc");
	});

	it("keeps hashes, lists, sets and sorted sets", async () => {
		expect(await redis.hset("hash", { a: 1, b: "two" })).toBe(2);
		expect(await redis.hgetall("hash")).toEqual({ a: 1, b: "two" });
		expect(await redis.hget("hash", "none")).toBeNull();
		expect(await redis.hincrby("hash", "a", 4)).toBe(5);
		expect(await redis.hdel("hash", "a", "none")).toBe(1);
		expect(await redis.hgetall("none")).toBeNull();
		expect(await redis.rpush("list", "a", "b", "c")).toBe(3);
		expect(await redis.lrange("list", 0, -1)).toEqual(["a", "b", "c"]);
		expect(await redis.lpop("list")).toBe("a");
		expect(await redis.sadd("set", "x", "y", "x")).toBe(2);
		expect((await redis.smembers("set")).sort()).toEqual(["x", "y"]);
		expect(await redis.zadd("zset", { nx: true }, { score: 2, member: "nx" })).toBe(1);
		expect(await redis.zrange("zset", 0, -1, { withScores: true })).toEqual(["nx", 2]);
		expect(await redis.type("hash")).toBe("hash");
		const [cursor, keys] = await redis.scan("0", { match: "*set", count: 100 });
		expect([cursor, keys.sort()]).toEqual(["0", ["set", "zset"]]);
	});

	it("refuses a command for another type, an unknown one, and a wrong number of arguments", async () => {
		await redis.hset("hash", { a: 1 });
		const status = (command: string[]) => post(gateway, "/", command);
		expect(await status(["GET", "hash"])).toEqual({
			status: 400,
			json: { error: "WRONGTYPE Operation against a key holding the wrong kind of value" },
		});
		expect(await status(["get"])).toEqual({
			status: 400,
			json: { error: "ERR wrong number of arguments for 'get' command" },
		});
		const unknown = await status(["NOSUCH", "a"]);
		expect(unknown.status).toBe(400);
		expect(unknown.json).toMatchObject({ error: expect.stringMatching(/^ERR unknown command/) });
	});

	it("runs a pipeline in order, with an error in its place", async () => {
		const pipeline = redis.pipeline();
		pipeline.set("a", "text").incr("a").get("a").incr("n").get("none");
		expect(await pipeline.exec({ keepErrors: true })).toEqual([
			{ result: "OK" },
			{ error: "ERR value is not an integer or out of range" },
			{ result: "text" },
			{ result: 1 },
			{ result: null },
		]);
	});

	it("serves the driver's automatic pipelines", async () => {
		const auto = clientOf(gateway, true);
		const set = auto.set("a", "text");
		const incremented = auto.incr("a").catch((error: Error) => error.message);
		expect(await Promise.all([set, incremented, auto.get("a"), auto.mget("a", "none")])).toEqual([
			"OK",
			expect.stringContaining("not an integer"),
			expect.toBeOneOf(["text", null]), // reads go in a pipeline of their own
			expect.anything(),
		]);
		const many = await Promise.all(Array.from({ length: 200 }, (_, i) => auto.set(`k${i}`, i)));
		expect(many).toEqual(Array.from({ length: 200 }, () => "OK"));
	});

	it("runs a transaction to its end, whatever a command in it answers", async () => {
		expect(await redis.multi().set("a", "1").incr("a").get("a").exec()).toEqual(["OK", 2, 2]);
		const commands = [
			["SET", "b", "x"],
			["LPUSH", "b", "y"],
			["GET", "b"],
		];
		expect(await post(gateway, "/multi-exec", commands)).toEqual({
			status: 200,
			json: [
				{ result: "OK" },
				{ error: "WRONGTYPE Operation against a key holding the wrong kind of value" },
				{ result: "x" },
			],
		});
	});

	it("discards a transaction as a whole when a command is malformed", async () => {
		for (const wrong of [["NOSUCH", "a"], ["GET"]]) {
			const answer = await post(gateway, "/multi-exec", [["SET", "a", "1"], wrong]);
			expect(answer).toEqual({
				status: 400,
				json: { error: "EXECABORT Transaction discarded because of previous errors." },
			});
		}
		expect(await redis.get("a")).toBeNull();
		await expect(redis.multi().set("a", "1").incr("a").exec()).resolves.toEqual(["OK", 2]);
	});

	it("lets nothing come between the commands of a transaction", async () => {
		const writes = Array.from({ length: 60 }, () => redis.multi().incr("x").incr("y").exec());
		const reads = Array.from({ length: 60 }, () => redis.multi().get("x").get("y").exec());
		await Promise.all(writes);
		for (const [x, y] of await Promise.all(reads)) expect(x).toBe(y);
		expect(await redis.mget("x", "y")).toEqual([60, 60]);
	});

	it("carries bytes: in the body of the path form, and out as base64", async () => {
		const bytes = Buffer.from([0, 1, 127, 128, 255, 254, 10, 13]);
		expect((await ask(gateway, "/set/bytes", { body: bytes })).json).toEqual({ result: "OK" });
		const base64 = { headers: { "Upstash-Encoding": "base64" }, method: "GET" };
		const encoded = bytes.toString("base64");
		expect((await ask(gateway, "/get/bytes", base64)).json).toEqual({ result: encoded });
		expect((await ask(gateway, "/mget/bytes/none", base64)).json).toEqual({
			result: [encoded, null],
		});
		expect((await ask(gateway, "/get/bytes", { method: "GET" })).json).toEqual({
			result: bytes.toString("utf8"),
		});
		expect((await ask(gateway, "/strlen/bytes", base64)).json).toEqual({ result: 8 });
	});

	it("takes commands in the path, with options in the query", async () => {
		const get = { method: "GET" };
		expect((await ask(gateway, "/set/a%2Fb/c%20%C3%BC?EX=100&NX", get)).json).toEqual({
			result: "OK",
		});
		expect(await redis.get("a/b")).toBe("c ü");
		expectLeft(await redis.ttl("a/b"), 100);
		const put = { method: "PUT", body: "value" };
		expect((await ask(gateway, "/set/body?EX=100", put)).json).toEqual({ result: "OK" });
		expectLeft(await redis.ttl("body"), 100);
		const bare = `/get/body?_token=${token}`;
		expect((await ask(gateway, bare, { ...get, headers: { authorization: "" } })).json).toEqual({
			result: "value",
		});
		expect((await ask(gateway, "/get/body", { method: "DELETE" })).status).toBe(405);
		expect((await ask(gateway, "/get/%ff", get)).status).toBe(400);
	});

	it("runs scripts", async () => {
		const window = `local n = redis.call("INCRBY", KEYS[1], ARGV[1])
			if n == tonumber(ARGV[1]) then redis.call("PEXPIRE", KEYS[1], ARGV[2]) end
			return {n, redis.call("PTTL", KEYS[1]) > 0, {KEYS[1], "x"}}`;
		expect(await redis.eval(window, ["hits"], [3, 5_000])).toEqual([3, 1, ["hits", "x"]]);
		expect(await redis.eval(window, ["hits"], [2, 5_000])).toEqual([5, 1, ["hits", "x"]]);
		expect(await redis.eval("return redis.call('GET', KEYS[1])", ["none"], [])).toBeNull();
		const script = redis.createScript<number>("return tonumber(ARGV[1]) + 1");
		expect(await script.exec([], ["41"])).toBe(42); // by hash, and by text where that is not known
		await expect(redis.evalsha("0".repeat(40), [], [])).rejects.toThrow("NOSCRIPT");
		await expect(redis.eval("error('mine')", [], [])).rejects.toThrow("mine");
		await expect(redis.eval("(", [], [])).rejects.toThrow("ERR");
		const { json } = await post(gateway, "/", ["EVAL", "return 1", "2", "only-one"]);
		expect(json).toEqual({ error: "ERR Number of keys can't be greater than number of args" });
	});

	it.each([
		["none", ""],
		["a wrong one", "Bearer wrong"],
		["one that begins right", `Bearer ${token}x`],
		["another scheme", `Basic ${token}`],
	])("wants the token: %s", async (_, authorization) => {
		const answer = await ask(gateway, "/", { headers: { authorization }, body: '["DBSIZE"]' });
		expect(answer).toEqual({
			status: 401,
			json: { error: "WRONGPASS invalid or missing auth token" },
		});
	});

	it("tells the driver of a wrong token", async () => {
		const stranger = new Redis({ url: gateway.url, token: "wrong", retry: false });
		await expect(stranger.get("a")).rejects.toThrow("WRONGPASS");
	});

	it.each([
		["no JSON", "/", "[", "failed to parse"],
		["no body", "/", "", "failed to parse"],
		["an object", "/", "{}", "a command must be an array"],
		["an empty command", "/", "[]", "empty command"],
		["an object as argument", "/", '["SET","a",{}]', "strings, numbers and booleans"],
		["null as argument", "/", '["SET","a",null]', "strings, numbers and booleans"],
		["an empty pipeline", "/pipeline", "[]", "empty pipeline"],
		["a flat pipeline", "/pipeline", '["GET","a"]', "a command must be an array"],
		["a transaction that is no array", "/multi-exec", "{}", "an array of commands"],
		["too many commands", "/pipeline", JSON.stringify(Array(10_001).fill(["PING"])), "10000"],
	])("refuses %s", async (_, path, body, message) => {
		const { status, json } = await ask(gateway, path, { body });
		expect(status).toBe(400);
		expect(json).toMatchObject({ error: expect.stringContaining(message) });
	});

	it("takes a body of almost 10 MiB and refuses one over it", async () => {
		const value = "x".repeat(10 * 1024 * 1024 - 100);
		expect(await redis.set("large", value)).toBe("OK");
		expect(await redis.strlen("large")).toBe(value.length);
		const { status, json } = await post(gateway, "/", [
			"SET",
			"large",
			`${value}${"y".repeat(100)}`,
		]);
		expect(status).toBe(413);
		expect(json).toEqual({ error: "ERR max request size exceeded. Limit: 10485760 bytes." });
		expect(await redis.strlen("large")).toBe(value.length);
	}, 20_000);

	it.each([
		["SUBSCRIBE", "news"],
		["BLPOP", "list", "0"],
		["XREAD", "block", "0", "STREAMS", "s", "$"],
		["MULTI"],
		["SELECT", "1"],
		["CONFIG", "GET", "requirepass"],
		["shutdown", "nosave"],
	])("does not run %s, which would harm the others", async (...command) => {
		const error = `ERR Command is not available: '${command[0]?.toUpperCase()}'`;
		expect(await post(gateway, "/", command)).toEqual({ status: 400, json: { error } });
		expect(
			(await post(gateway, "/pipeline", [["INCR", "n"], command, ["INCR", "n"]])).json,
		).toEqual([{ result: 1 }, { error }, { result: 2 }]);
		const transaction = await post(gateway, "/multi-exec", [["INCR", "n"], command]);
		expect(transaction).toEqual({ status: 400, json: { error } });
		expect(await redis.get("n")).toBe(2);
	});

	it("drops old keys instead of growing without bound", async () => {
		const length = 2 * 1024 ** 2;
		const bound = (inProcess ? 64 : 256) * 1024 ** 2;
		const count = Math.ceil(bound / length) + 12;
		// The value is as long as where it is written to: it has not to be sent.
		for (let i = 0; i < count; i++) await redis.setrange(`k${i}`, length - 1, "x");
		expect(await redis.strlen(`k${count - 1}`)).toBe(length);
		expect(await redis.dbsize()).toBeLessThanOrEqual(bound / length);
	}, 30_000);
});

describe("the in-process engine", () => {
	it("has data of its own in each gateway", async () => {
		const gateways = await Promise.all([start(true), start(true)]);
		const [one, other] = gateways.map((gateway) => clientOf(gateway));
		await one?.set("a", 1);
		expect(await other?.get("a")).toBeNull();
		await Promise.all(gateways.map((gateway) => gateway.stop()));
	});

	it("drops the keys first that were not used for longest", async () => {
		const gateway: RedisGateway = await start(true);
		const redis = clientOf(gateway);
		const value = "x".repeat(8 * 1024 * 1024);
		for (const key of ["a", "b", "c"]) await redis.set(key, value);
		await redis.strlen("a");
		for (const key of ["d", "e", "f", "g", "h"]) await redis.set(key, value);
		expect(await redis.exists("a", "c", "d", "h")).toBe(4);
		expect(await redis.exists("b")).toBe(0);
		await gateway.stop();
	});

	it("does not count a counter's steps as memory", async () => {
		const gateway: RedisGateway = await start(true);
		await post(gateway, "/", ["SET", "kept", "x"]);
		const steps = Array(10_000).fill(["INCRBY", "n".repeat(500), "1"]);
		for (let i = 0; i < 15; i++) await post(gateway, "/pipeline", steps); // 75 MB of commands
		expect((await post(gateway, "/", ["GET", "kept"])).json).toEqual({ result: "x" });
		await gateway.stop();
	}, 30_000);
});

describe.runIf(program)("a redis-server that the gateway started", () => {
	let gateway: RedisGateway;
	let redis: Redis;
	const spawned: number[] = [];
	const pidOf = () => gateway.pid ?? Number.NaN;

	beforeAll(async () => {
		gateway = await start(false, { onSpawn: (pid) => spawned.push(pid) });
		redis = clientOf(gateway);
	});
	afterAll(async () => {
		const pid = pidOf();
		await gateway.stop();
		expect(isAlive(pid)).toBe(false);
	});

	it("is a bounded cache that writes nothing", async () => {
		const { json } = await post(gateway, "/", ["INFO"]);
		const info = String((json as { result: string }).result);
		expect(info).toContain("maxmemory:268435456");
		expect(info).toContain("maxmemory_policy:allkeys-lru");
		expect(info).toContain("aof_enabled:0");
		expect(commandLine(pidOf())).not.toMatch(/requirepass/);
	});

	it("lets in nobody without its password", async () => {
		const { json } = await post(gateway, "/", ["INFO", "server"]);
		const port = Number(/tcp_port:(\d+)/.exec((json as { result: string }).result)?.[1]);
		const socket = connect(port, "127.0.0.1");
		socket.write("GET a\r\n");
		const [reply] = await once(socket, "data");
		expect(String(reply)).toContain("NOAUTH");
		socket.destroy();
	});

	it("is started again when it is killed, and meanwhile every request is told so", async () => {
		const pid = pidOf();
		await redis.set("a", 1);
		const slow = redis.eval("local n = 0 while n < 1e9 do n = n + 1 end return n", [], []);
		const away = /connection to Redis was lost|Redis did not answer|Redis is not connected/;
		const lost = expect(slow).rejects.toThrow(away);
		await sleep(50);
		await endProcess(pid, [["SIGKILL", 1_000]]);
		await lost;
		// On a slow machine the next one may be there before it is asked: only until then it is away.
		const answer = await post(gateway, "/", ["GET", "a"]);
		if (pidOf() === pid) {
			expect(answer).toEqual({ status: 503, json: { error: expect.stringMatching(away) } });
		}
		for (const batch of [redis.pipeline(), redis.multi()]) {
			const told = await batch.get("a").exec().then(String, String);
			if (pidOf() === pid) expect(told).toMatch(away);
		}
		await expect.poll(() => redis.ping().catch(() => "")).toBe("PONG");
		expect(await redis.get("a")).toBeNull();
		expect(pidOf()).not.toBe(pid);
		expect(spawned).toEqual([pid, pidOf()]);
	});

	it("is not waited for when it hangs", async () => {
		process.kill(pidOf(), "SIGSTOP");
		try {
			const answers = await Promise.all([
				post(gateway, "/", ["GET", "a"]),
				post(gateway, "/pipeline", [["GET", "a"]]),
				post(gateway, "/multi-exec", [["GET", "a"]]),
			]);
			expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
		} finally {
			process.kill(pidOf(), "SIGCONT");
		}
		await expect.poll(() => redis.ping().catch(() => "")).toBe("PONG");
	});
});

describe.runIf(program)("a Redis that is there already", () => {
	const password = "p@ss:word";
	let port: number;
	let server: ChildProcess;

	async function launch(): Promise<void> {
		const options = ["--bind", "127.0.0.1", "--save", "", "--requirepass", password];
		server = spawn(program ?? "", ["--port", String(port), ...options], { stdio: "ignore" });
		await once(server, "spawn");
	}
	const urlWith = (secret: string) =>
		`redis://default:${encodeURIComponent(secret)}@127.0.0.1:${port}/3`;

	beforeAll(async () => {
		port = await freePort();
		await launch();
	});
	afterAll(() => endProcess(server.pid ?? 0, [["SIGTERM", 2_000]]));

	it("is used by its URL, and again when it returns", async () => {
		const gateway = await startRedisGateway({ dataDir, token, redisUrl: urlWith(password) });
		const redis = clientOf(gateway);
		expect(gateway).toMatchObject({ engine: "external", pid: undefined });
		await redis.set("a", 1);
		expect((await post(gateway, "/", ["INFO", "keyspace"])).json).toMatchObject({
			result: expect.stringContaining("db3:keys=1"),
		});
		await endProcess(server.pid ?? 0, [["SIGTERM", 2_000]]);
		expect((await post(gateway, "/", ["GET", "a"])).status).toBe(503);
		await launch();
		await expect.poll(() => redis.set("b", 2).catch(() => "")).toBe("OK");
		await gateway.stop();
		expect(isAlive(server.pid ?? 0)).toBe(true);
	});

	it("is refused with one line when its password is wrong, and the line does not show it", async () => {
		const redisUrl = urlWith("wrong-secret");
		const refused = await startRedisGateway({ dataDir, token, redisUrl }).catch(String);
		expect(refused).toMatch(/^Problem: the Redis of REDIS_URL does not answer: (WRONGPASS|NOAUTH)/);
		expect(refused).not.toContain("wrong-secret");
	}, 20_000);
});

it.skipIf(!program)("redis-server works in a folder of any name", async () => {
	const folder = join(dataDir, 'a\t\u0001"b"');
	const gateway = await startRedisGateway({ dataDir: folder, token, redisUrl: "" });
	expect(gateway.engine).toBe("redis-server");
	await gateway.stop();
});

describe("a redis-server that does not start", () => {
	it("is told in one line with its last words", async () => {
		const folder = await mkdtemp(join(dataDir, "bin-"));
		const broken = join(folder, "redis-server");
		await writeFile(broken, "#!/bin/sh\necho 'this one is broken'\nexit 1\n");
		await chmod(broken, 0o755);
		expect(findRedisServer(`/nowhere:${folder}`)).toBe(broken);
		await expect(startRedisServer({ program: broken, dataDir })).rejects.toThrow(
			"redis-server does not start: this one is broken",
		);
	});
});

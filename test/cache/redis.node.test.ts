import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "@upstash/redis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { listen } from "../../local/gateway.ts";
import { loopback } from "../../local/ports.ts";
import { type RedisGateway, startRedisGateway } from "../../local/redis.ts";
import { findRedisServer } from "../../local/redis-server.ts";
import { connectRedisStore, noCounts } from "../../src/cache/redis.ts";
import { keptName, type SharedStore, sharedName } from "../../src/cache/shared.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import * as limits from "../../src/limits.ts";

const token = "a-token-of-the-test";
const keyEncryptionKeys = [{ id: "k1", bytes: systemRandom(32) }] as const;
const key = { kind: "key", name: "payments" };
const other = { kind: "token", name: "ab" };
const engines = [
	{ engine: "in-process", inProcess: true },
	...(findRedisServer() ? [{ engine: "redis-server", inProcess: false }] : []),
];

/** Patient, where the test is not about time: the machine may be busy. */
function connect(url: string, clock = systemClock, timeoutMs = 20_000) {
	const counts = noCounts();
	const config = { redis: { url, token }, keyEncryptionKeys };
	return { store: connectRedisStore(config, clock, systemRandom, counts, timeoutMs), counts };
}

let dataDir: string;
beforeAll(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "shared-store-"));
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

describe.each(engines)("the shared store on $engine", ({ inProcess }) => {
	let gateway: RedisGateway;
	let redis: Redis;
	let store: SharedStore;

	beforeAll(async () => {
		gateway = await startRedisGateway({ dataDir, token, redisUrl: "", inProcess });
		redis = new Redis({ url: gateway.url, token, enableTelemetry: false, retry: false });
		({ store } = connect(gateway.url));
	});
	afterAll(() => gateway?.stop());
	afterEach(() => redis.flushall());

	it("answers what was written, in the order of the question", async () => {
		await store.write("acme", 7, [
			{ ...key, value: '{"id":1}' },
			{ ...other, value: '{"id":"ä"}' },
		]);
		expect(await store.read("acme", 7, [other, { kind: "key", name: "none" }, key])).toEqual([
			'{"id":"ä"}',
			null,
			'{"id":1}',
		]);
	});

	it("finds nothing of another epoch, tenant, kind or name", async () => {
		await store.write("acme", 7, [{ ...key, value: "1" }]);
		expect(await store.read("acme", 8, [key])).toEqual([null]);
		expect(await store.read("acm", 7, [key])).toEqual([null]);
		expect(await store.read("acme", 7, [{ kind: "token", name: "payments" }])).toEqual([null]);
	});

	it("answers what was written last under the epoch for longer, and nothing of an epoch before", async () => {
		await store.write("acme", 7, [{ ...key, value: "1" }]);
		await store.write("acme", 7, [{ ...key, value: "2" }]);
		await redis.del(sharedName("acme", 7, key));
		expect(await store.read("acme", 7, [key])).toEqual([null]);
		expect(await store.kept("acme", 7, [other, key])).toEqual([null, "2"]);
		for (const epoch of [6, 8, 70, 72])
			expect(await store.kept("acme", epoch, [key])).toEqual([null]);
		expect(await store.kept("acm", 7, [key])).toEqual([null]);
		const seconds = await redis.ttl(keptName("acme", key));
		expect(seconds).toBeGreaterThan(limits.cacheSharedKeptSeconds - 60);
		expect(seconds).toBeLessThanOrEqual(limits.cacheSharedKeptSeconds);
	});

	it("keeps nothing of what is not there any more", async () => {
		await store.write("acme", 7, [
			{ ...key, value: "1" },
			{ ...other, value: "2" },
		]);
		await store.drop("acme", [key]);
		expect(await store.kept("acme", 7, [key, other])).toEqual([null, "2"]);
	});

	it("does not believe what was kept under an epoch before when it is put back", async () => {
		await store.write("acme", 7, [{ ...key, value: "old" }]);
		const stored = String(await redis.get(keptName("acme", key)));
		await store.write("acme", 8, [{ ...key, value: "new" }]);
		await redis.set(keptName("acme", key), stored);
		await redis.set(keptName("acme", other), stored);
		expect(await store.kept("acme", 8, [key, other])).toEqual([null, null]);
	});

	it("keeps a value for its time and no longer", async () => {
		await store.write("acme", 7, [{ ...key, value: "1" }]);
		const seconds = await redis.ttl(sharedName("acme", 7, key));
		expect(seconds).toBeGreaterThan(0);
		expect(seconds).toBeLessThanOrEqual(limits.cacheSharedTtlSeconds);
	});

	it("has nothing in Redis that can be read there, compressed where it is long", async () => {
		const value = JSON.stringify({ secret: "do not show".repeat(1_000) });
		await store.write("acme", 7, [{ ...key, value }]);
		const stored = String(await redis.get(sharedName("acme", 7, key)));
		expect(stored.length).toBeLessThan(value.length / 10);
		expect(Buffer.from(stored, "base64").toString("latin1")).not.toContain("do not show");
		expect(await store.read("acme", 7, [key])).toEqual([value]);
	});

	it("believes no value that was put under another's name", async () => {
		await store.write("acme", 7, [{ ...key, value: "old" }]);
		const stored = String(await redis.get(sharedName("acme", 7, key)));
		await redis.set(sharedName("acme", 8, key), stored);
		await redis.set(sharedName("evil", 7, key), stored);
		expect(await store.read("acme", 8, [key])).toEqual([null]);
		expect(await store.read("evil", 7, [key])).toEqual([null]);
	});

	it.each(["", "null", "{}", "AAAA", "not base64!", "A".repeat(300_000)])(
		"takes %j for nothing",
		async (rubbish) => {
			await redis.set(sharedName("acme", 7, key), rubbish);
			expect(await store.read("acme", 7, [key])).toEqual([null]);
		},
	);

	it("does not write what is too long", async () => {
		const noise = Buffer.from(systemRandom(60_000)).toString("hex").repeat(5);
		await store.write("acme", 7, [
			{ ...key, value: noise },
			{ ...other, value: "1" },
		]);
		expect(await store.read("acme", 7, [key, other])).toEqual([null, "1"]);
	});
});

describe("a Redis that is not well", () => {
	let server: Server | null = null;
	afterEach(() => {
		server?.closeAllConnections();
		server?.close();
	});

	/** Answers each request as it is told; the answer is what it was asked. */
	async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
		const asked: number[] = [];
		server = createServer((request, response) => {
			asked.push(1);
			answer(request, response);
		});
		return { url: await listen(server, 0, loopback), asked };
	}

	const json =
		(value: unknown, status = 200) =>
		(_: IncomingMessage, response: ServerResponse) => {
			response.writeHead(status, { "content-type": "application/json" });
			response.end(typeof value === "string" ? value : JSON.stringify(value));
		};

	it.each([
		// Long enough for the call to be made on a machine that stalls.
		["never answers", () => {}, 2_500],
		["hangs up", (request: IncomingMessage) => request.socket.destroy(), undefined],
		["refuses", json({ error: "WRONGPASS" }, 401), undefined],
		["is out of memory", json({ error: "OOM command not allowed" }, 400), undefined],
		["answers no JSON", json("<html>bad gateway</html>", 502), undefined],
	] as const)("and %s costs one call, and then none for a while", async (_, answer, timeoutMs) => {
		const { url, asked } = await serve(answer);
		const time = { now: 0 };
		const { store, counts } = connect(url, () => time.now, timeoutMs);
		for (let i = 0; i < 20; i++) expect(await store.read("acme", 7, [key])).toEqual([null]);
		await store.write("acme", 7, [{ ...key, value: "1" }]);
		expect(asked).toHaveLength(1);
		expect(counts).toMatchObject({ failures: 1, skipped: 20, hits: 0 });
		time.now += limits.cacheSharedPauseMs;
		await store.read("acme", 7, [key]);
		expect(asked).toHaveLength(2);
	});

	it.each([
		["a text", "hello"],
		["a number", 7],
		["nothing", null],
		["too few values", []],
		["too many values", ["AA==", "AA=="]],
		["values of another kind", [{ id: 1 }]],
	])("and answers %s is not believed", async (_, result) => {
		const { url } = await serve(json({ result }));
		const { store } = connect(url);
		expect(await store.read("acme", 7, [key])).toEqual([null]);
	});

	it("is asked by each request for itself: none waits for what another one sent", async () => {
		const { url, asked } = await serve(json({ result: [null] }));
		const { store } = connect(url);
		await Promise.all([store.read("acme", 7, [key]), store.read("acme", 7, [other])]);
		expect(asked).toHaveLength(2);
	});

	it("is asked again when it is well, and answers", async () => {
		const gateway = await startRedisGateway({ dataDir, token, redisUrl: "", inProcess: true });
		const port = Number(new URL(gateway.url).port);
		const time = { now: 0 };
		const { store } = connect(gateway.url, () => time.now);
		await gateway.stop();
		await store.write("acme", 7, [{ ...key, value: "1" }]);
		const again = await startRedisGateway({ dataDir, token, redisUrl: "", inProcess: true, port });
		try {
			time.now += limits.cacheSharedPauseMs;
			await store.write("acme", 7, [{ ...key, value: "1" }]);
			expect(await store.read("acme", 7, [key])).toEqual(["1"]);
		} finally {
			await again.stop();
		}
	});
});

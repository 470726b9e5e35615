import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { postgresPid, withChildren } from "../../loadtests/processes.ts";
import { withDatabase } from "../../local/database.ts";
import { type RunningPostgres, startPostgres, workerRole } from "../../local/postgres.ts";
import { endProcess } from "../../local/processes.ts";
import * as limits from "../../src/limits.ts";
import { send } from "../support/node/caller.ts";
import { newDataDir } from "../support/node/data-dir.ts";
import { digestOf, recordedOf } from "../support/node/recorded.ts";
import { type RedisFault, type RedisProxy, startRedisProxy } from "../support/node/redis-proxy.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

/** Signed with all the time, at both locations; the last one is the one that is disabled now and then. */
const keys = ["a", "b", "c", "flip"] as const;
const callersPerEdge = 2;
const pauseMs = 60;
/** Longer than a Redis that was slow is left alone for, and than records wait for the next try. */
const patienceMs = 90_000;
const testMs = 240_000;

interface Seen {
	readonly key: string;
	readonly sentAt: number;
	/** `ok`, or the code of the problem. */
	readonly outcome: string;
}

/** What a change tells those who are under way, and a machine that has too much to do: come again. */
const always = ["ok", "lease_lapsed", "overloaded"];

let dataDir: string;
let stack: TestStack;
let proxy: RedisProxy;
let postgres: RunningPostgres | undefined;
let load: ReturnType<typeof startLoad>;

beforeAll(async () => {
	dataDir = await newDataDir();
	const gateway = Promise.withResolvers<string>();
	proxy = await startRedisProxy(gateway.promise);
	const vars = { UPSTASH_REDIS_REST_URL: proxy.url };
	stack = await startTestStack({ dataDir, edges: 2, vars });
	gateway.resolve(stack.redisUrl);
	const publicKeys = new Map<string, KeyObject>();
	for (const name of keys) {
		const json = { name, algorithm: "Ed25519" };
		const made = await stack.call<{ publicKey: { pem: string } }>("POST", "/v1/keys", json);
		publicKeys.set(name, createPublicKey(made.publicKey.pem));
	}
	load = startLoad(publicKeys);
});

afterAll(async () => {
	await load?.stop();
	await stack?.stop();
	await postgres?.stop();
	await proxy?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

/** Callers who sign, and look at each signature that they are given. */
function startLoad(publicKeys: ReadonlyMap<string, KeyObject>) {
	const seen: Seen[] = [];
	const wrong: string[] = [];
	/** SHA-256 of each signature that was given. */
	const given: string[] = [];
	let goesOn = true;

	async function signOnce(url: string, key: string, text: string): Promise<void> {
		const message = Buffer.from(text);
		const json = { message: message.toString("base64") };
		const request = { method: "POST", path: `/v1/keys/${key}/sign`, token: stack.token, json };
		const answer = await send(url, request);
		const { code = "ok", signature: text64 } = JSON.parse(answer.text);
		seen.push({ key, sentAt: answer.sentAt, outcome: code });
		if (code !== "ok") return;
		const signature = Buffer.from(text64, "base64");
		given.push(digestOf(text64));
		const publicKey = publicKeys.get(key);
		if (!publicKey || !verify(null, message, publicKey, signature)) wrong.push(answer.text);
	}

	async function call(url: string, caller: number): Promise<void> {
		for (let n = caller; goesOn; n++) {
			await signOnce(url, keys[n % keys.length] ?? "a", `${url} ${caller} ${n}`);
			await sleep(pauseMs);
		}
	}

	const callers = stack.urls.flatMap((url) =>
		Array.from({ length: callersPerEdge }, (_, caller) => call(url, caller)),
	);
	return {
		seen,
		wrong,
		given,
		/** Resolves when so many more were signed with keys that nobody touches. */
		async signs(count: number): Promise<void> {
			const isSigned = ({ key, outcome }: Seen) => key !== "flip" && outcome === "ok";
			const before = seen.length;
			await until(() => seen.slice(before).filter(isSigned).length >= count);
		},
		async stop(): Promise<void> {
			goesOn = false;
			await Promise.all(callers);
		},
	};
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
	const end = performance.now() + patienceMs;
	while (!(await holds())) {
		if (performance.now() > end) throw new Error("it does not come to be");
		await sleep(20);
	}
}

/** A change that does no harm twice; again while it is not known to be made. @throws on any other refusal */
async function change(method: string, path: string, json?: unknown): Promise<void> {
	await until(async () => {
		const answer = await stack.fetch(method, path, json);
		if (answer.status === 503) return false;
		expect(answer.status, await answer.text()).toBe(200);
		return true;
	});
}

/** What came of signing since then, but with the key that is taken away; without `expected`. */
function othersSince(time: number, expected: readonly string[]): string[] {
	return load.seen
		.filter(({ key, sentAt }) => key !== "flip" && sentAt >= time)
		.map(({ outcome }) => outcome)
		.filter((outcome) => !expected.includes(outcome));
}

/**
 * Takes a key away and gives it back: every isolate has to read all of them anew, twice. Answers how
 * often it was signed with after the answer to a fenced change.
 */
async function flip(): Promise<number> {
	await change("POST", "/v1/keys/flip/disable?fence=true");
	const disabledAt = performance.now();
	await load.signs(2 * keys.length);
	const enabledFrom = performance.now();
	await change("POST", "/v1/keys/flip/enable");
	return load.seen.filter(
		({ key, sentAt, outcome }) =>
			key === "flip" && outcome === "ok" && sentAt > disabledAt && sentAt < enabledFrom,
	).length;
}

describe("a Redis that", { timeout: testMs }, () => {
	const faults: RedisFault[] = ["is down", "takes two seconds", "lies", "is out of memory"];

	it.each(faults)("%s costs no answer, and is of use again when it is well", async (fault) => {
		await untilUsed();
		const before = performance.now();
		const { troubled } = proxy.counts;
		proxy.fault = fault;
		expect(await flip()).toBe(0);
		await load.signs(20);
		await movingTheEpoch(() => proxy.counts.troubled > troubled);
		proxy.fault = null;
		await untilUsed();
		expect(othersSince(before, always)).toEqual([]);
		expect(load.wrong).toEqual([]);
	});

	/** Until Redis is asked for keys, and answers. */
	async function untilUsed(): Promise<void> {
		const { answered } = proxy.counts;
		await movingTheEpoch(() => proxy.counts.answered > answered);
	}

	/** Moves the epoch, so that keys are read again, until Redis is asked for them. */
	async function movingTheEpoch(isAsked: () => boolean): Promise<void> {
		await until(async () => {
			if (isAsked()) return true;
			await change("PATCH", "/v1/keys/flip", { tags: {} });
			await load.signs(keys.length);
			return isAsked();
		});
	}
});

describe("a Postgres that", { timeout: testMs }, () => {
	async function expectWell(since: number): Promise<void> {
		expect(await flip()).toBe(0);
		await load.signs(40);
		// Warm isolates sign on; who has to read something is told to come again.
		expect(othersSince(since, [...always, "unavailable"])).toEqual([]);
		expect(load.wrong).toEqual([]);
	}

	it("is restarted makes no wrong answer, and nobody else has to be restarted", async () => {
		const before = performance.now();
		const port = Number(new URL(stack.databaseUrl).port);
		await endProcess(postgresPid(dataDir), [["SIGINT", 10_000]]);
		await load.signs(20);
		postgres = await startPostgres({ dataDir, port, durable: false });
		await expectWell(before);
	});

	it("stands still for five seconds is waited for, and changes come through after it", async () => {
		const before = performance.now();
		const stopped = withChildren(postgresPid(dataDir));
		for (const pid of stopped) process.kill(pid, "SIGSTOP");
		const waiting = stack.fetch("POST", "/v1/keys/flip/disable");
		try {
			await sleep(limits.databaseTimeoutMs);
			expect(load.wrong).toEqual([]);
		} finally {
			for (const pid of stopped.toReversed()) process.kill(pid, "SIGCONT");
		}
		expect([200, 503]).toContain((await waiting).status);
		await change("POST", "/v1/keys/flip/enable");
		await expectWell(before);
	});

	it("takes no connection more has records wait, and loses none", async () => {
		const before = performance.now();
		const asOwner = (query: string) =>
			withDatabase(stack.databaseUrl, (client) => client.query(query));
		await asOwner(`alter role ${workerRole} connection limit 0`);
		await asOwner(
			`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${workerRole}'`,
		);
		const refused = await stack.fetch("POST", "/v1/keys", { name: "new", algorithm: "Ed25519" });
		expect(refused.status).toBe(503);
		await load.signs(20);
		await asOwner(`alter role ${workerRole} connection limit -1`);
		await expectWell(before);
	});

	it("has in the end the record of every signature that was given", async () => {
		await load.stop();
		const given = [...load.given].sort();
		expect(given.length).toBeGreaterThan(100);
		const recorded = () => recordedOf(stack.databaseUrl, given);
		await expect.poll(recorded, { timeout: patienceMs, interval: 200 }).toEqual(given);
	});
});

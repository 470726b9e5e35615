import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { postgresPid, withChildren } from "../../loadtests/processes.ts";
import { newDataDir } from "../support/node/data-dir.ts";
import { digestOf, recordedOf } from "../support/node/recorded.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

const used = ["used", "used-too"];
const message = { message: "aGVsbG8=" };
/** Until what was read is in Redis, as a rule. */
const writtenMs = 500;
/** A Redis that took too long is left alone for up to half a minute, and Postgres may be. */
const patience = { timeout: 60_000, interval: 200 };
const testMs = 4 * patience.timeout;

let dataDir: string;
let stack: TestStack;
let stopped: number[] = [];
const given: string[] = [];

beforeAll(async () => {
	dataDir = await newDataDir();
	stack = await startTestStack({ dataDir, edges: 2 });
	for (const name of [...used, "unused"]) {
		await stack.call("POST", "/v1/keys", { name, algorithm: "ES256K" });
	}
});

afterAll(async () => {
	resume();
	await stack?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

function resume(): void {
	for (const pid of stopped.toReversed()) process.kill(pid, "SIGCONT");
	stopped = [];
}

/** `ok`, or the code of the problem. */
async function sign(key: string, edge: number): Promise<string> {
	const response = await stack.fetch("POST", `/v1/keys/${key}/sign`, message, edge);
	const { code, signature = "" } = (await response.json()) as { code?: string; signature?: string };
	if (code === undefined) given.push(digestOf(signature));
	return code ?? "ok";
}

async function askRedis<Result>(...command: string[]): Promise<Result> {
	const { redisUrl, redisToken } = JSON.parse(await readFile(join(dataDir, "stack.json"), "utf8"));
	const response = await fetch(redisUrl, {
		method: "POST",
		headers: { authorization: `Bearer ${redisToken}` },
		body: JSON.stringify(command),
	});
	return ((await response.json()) as { result: Result }).result;
}

const isKept = (name: string) => name.startsWith("es:main:kept:");

/** Has the first location read all anew, and tell Redis; answers how many rows that keeps for an outage. */
async function keptAfterUse(): Promise<number> {
	await stack.call("PATCH", "/v1/keys/unused", { tags: {} });
	for (const key of used) await sign(key, 0);
	await sleep(writtenMs);
	return (await askRedis<string[]>("keys", "es:main:*")).filter(isKept).length;
}

/** As if their 30 s were over. */
async function dropFresh(): Promise<void> {
	const fresh = (await askRedis<string[]>("keys", "es:main:*")).filter((name) => !isKept(name));
	if (fresh.length > 0) await askRedis("del", ...fresh);
}

it("signs on at a location that begins while Postgres is away, with what was used elsewhere", {
	timeout: testMs,
}, async () => {
	await expect.poll(keptAfterUse, patience).toBe(1 + used.length);
	stopped = withChildren(postgresPid(dataDir));
	for (const pid of stopped) process.kill(pid, "SIGSTOP");
	await dropFresh();
	for (const edge of [0, 1]) {
		for (const key of used) await expect.poll(() => sign(key, edge), patience).toBe("ok");
	}
	expect(await sign("unused", 1)).toBe("unavailable");
	resume();
	const disable = () => stack.fetch("POST", "/v1/keys/used/disable?fence=true");
	await expect.poll(async () => (await disable()).status, patience).toBe(200);
	for (const edge of [0, 1]) {
		await expect.poll(() => sign("used", edge), patience).toBe("key_disabled");
		await expect.poll(() => sign("unused", edge), patience).toBe("ok");
	}
	const recorded = () => recordedOf(stack.databaseUrl, given);
	await expect.poll(recorded, patience).toEqual(given.toSorted());
});

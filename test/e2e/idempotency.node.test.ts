import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as limits from "../../src/limits.ts";
import { newDataDir } from "../support/node/data-dir.ts";
import { processWith } from "../support/node/processes.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

/** In the environment of all that is started here. */
const tag = randomUUID();
let dataDir: string;
let stack: TestStack;
let token: string;

beforeAll(async () => {
	process.env.EDGESIGN_TEST_TAG = tag;
	dataDir = await newDataDir();
	stack = await startTestStack({ dataDir });
	token = (await readFile(join(dataDir, "admin-token"), "utf8")).trim();
});

afterAll(async () => {
	await stack?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

interface Request {
	readonly method: string;
	readonly path: string;
	readonly json?: unknown;
	readonly key: string;
	/** What the client knows: null until it has an answer. */
	answer: { readonly status: number; readonly text: string } | null;
	tries: number;
}

/** Tell to ask again: an attempt that still runs, a limit, a part that is gone. */
const comeBack =
	/"code":"(idempotency_running|rate_limited|overloaded|lease_lapsed|(audit_)?unavailable)"/;

async function send(request: Request): Promise<void> {
	request.tries++;
	const { method, path, json, key } = request;
	const response = await fetch(`${stack.url}${path}`, {
		method,
		headers: {
			authorization: `Bearer ${token}`,
			"content-type": "application/json",
			"idempotency-key": key,
		},
		...(json !== undefined && { body: JSON.stringify(json) }),
		signal: AbortSignal.timeout(20_000),
	}).catch(() => null);
	const text = await response?.text().catch(() => null);
	if (!response || typeof text !== "string" || comeBack.test(text)) return;
	request.answer = { status: response.status, text };
}

async function pagesOf<Row>(path: string, field: string): Promise<Row[]> {
	const rows: Row[] = [];
	for (let cursor: string | null = ""; cursor !== null; ) {
		const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
		const page = await stack.call<Record<string, unknown>>("GET", `${path}?limit=200${query}`);
		rows.push(...(page[field] as Row[]));
		cursor = page.nextCursor as string | null;
	}
	return rows;
}

const rounds = 8;
const perRound = 6;

test("workerd is killed again and again: every change is made once, and every repetition is answered", async () => {
	const rotated = Array.from({ length: rounds * perRound }, (_, i) => `rotated-${i}`);
	for (const name of rotated) {
		const made: Request = newRequest("POST", "/v1/keys", { name, algorithm: "Ed25519" });
		while (!made.answer) await send(made);
	}
	const ledger: Request[] = [];
	for (let round = 0; round < rounds; round++) {
		const requests = Array.from({ length: perRound }, (_, i) => {
			const n = round * perRound + i;
			return [
				newRequest("POST", "/v1/keys", { name: `made-${n}`, algorithm: "ES256" }),
				newRequest("POST", "/v1/tokens", { name: `token-${n}`, role: "verifier" }),
				newRequest("POST", `/v1/keys/rotated-${n}/rotate`),
			];
		}).flat();
		ledger.push(...requests);
		// Looked for before anything is sent: that takes so long that workerd could answer all of it.
		const workerd = processWith(tag, "workerd serve");
		const sent = Promise.all(requests.map(send));
		await sleep(Math.random() * 60);
		process.kill(workerd, "SIGKILL");
		await sent;
		await untilServing();
	}
	const cutOff = ledger.filter(({ answer }) => !answer).length;
	// Else the test has shown nothing.
	expect(cutOff).toBeGreaterThan(rounds);

	const end = Date.now() + 2 * limits.idempotencyRunningMs + 30_000;
	for (;;) {
		const open = ledger.filter(({ answer }) => !answer);
		if (open.length === 0 || Date.now() > end) break;
		for (const request of open) await send(request);
		await sleep(500);
	}
	expect(ledger.filter(({ answer }) => !answer)).toEqual([]);
	for (const { method, path, answer } of ledger) {
		const expected = path.endsWith("/rotate") ? 200 : 201;
		expect(answer?.status, `${method} ${path}: ${answer?.text}`).toBe(expected);
	}
	await expectOneEffectEach(ledger);
	await expectSameAnswers(ledger);
}, 240_000);

function newRequest(method: string, path: string, json?: unknown): Request {
	return { method, path, json, key: randomUUID(), answer: null, tries: 0 };
}

async function untilServing(): Promise<void> {
	const isUp = async () => (await fetch(`${stack.url}/healthz`).catch(() => null))?.ok ?? false;
	await expect.poll(isUp, { timeout: 20_000, interval: 20 }).toBe(true);
}

type Named = { readonly name: string; readonly version: number; readonly id: string };

async function expectOneEffectEach(ledger: readonly Request[]): Promise<void> {
	const keys = await pagesOf<Named>("/v1/keys", "keys");
	const tokens = await pagesOf<Named>("/v1/tokens", "tokens");
	for (const { path, json, answer } of ledger) {
		const told = JSON.parse(answer?.text ?? "") as Named & { token?: string };
		const rows = path === "/v1/tokens" ? tokens : keys;
		const name = (json as Named | undefined)?.name ?? told.name;
		const found = rows.filter((row) => row.name === name);
		expect(found, name).toHaveLength(1);
		expect(found[0]?.id).toBe(told.id);
		if (path.endsWith("/rotate")) expect([found[0]?.version, told.version], name).toEqual([2, 2]);
	}
}

async function expectSameAnswers(ledger: readonly Request[]): Promise<void> {
	for (const request of ledger) {
		const again = { ...request, answer: null as Request["answer"] };
		for (let tries = 0; !again.answer && tries < 20; tries++) {
			await send(again);
			if (!again.answer) await sleep(250);
		}
		expect(again.answer, request.path).toEqual(request.answer);
	}
}

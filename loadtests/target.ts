import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inOneLine, Problem } from "../local/problem.ts";
import { type Stack, type StackOptions, startStack } from "../local/stack.ts";
import { createUndo, type Undo } from "../local/undo.ts";
import { limits } from "./limits.ts";

/** The service that is put under load. */
export interface Target {
	readonly url: string;
	readonly host: string;
	readonly port: number;
	readonly tls: boolean;
	/** It runs on this machine, without a proxy before it that tells who calls. */
	readonly isLocal: boolean;
	readonly tenant: string;
	/** Of an admin. */
	readonly token: string;
	/** The stack of this machine, whose parts can be taken away; null for a service elsewhere. */
	readonly stack: Stack | null;
	/** The parsed answer. @throws Problem on any refusal, and when there is no answer */
	call<Answer>(method: string, path: string, json?: unknown): Promise<Answer>;
	/** What is to be stopped too, once the stack has stopped. */
	afterStop(stop: () => Promise<void>): void;
	stop(): Promise<void>;
}

const tokenForm = /^es_([a-z0-9][a-z0-9-]{0,31})_[A-Za-z0-9_-]{43}$/;

/** The hosts that a load test may go to without being told so. */
const loopbackHosts: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"]);

/**
 * A service that runs already.
 * @param signal aborted when nobody waits for its answers any more
 * @throws Problem when the address is not for load tests, or no token is given
 */
export function remoteTarget(
	address: string,
	token: string | undefined,
	allowRemote: boolean,
	signal?: AbortSignal,
): Target {
	const url = URL.canParse(address) ? new URL(address) : null;
	if (!url || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "") {
		throw new Problem(`--url must be http://HOST[:PORT] or https://HOST[:PORT], not "${address}"`);
	}
	if (!loopbackHosts.has(url.hostname) && !allowRemote) {
		throw new Problem(
			`${url.hostname} is not this machine: with --allow-remote it is put under load all the same`,
		);
	}
	if (!token) {
		throw new Problem("with --url an admin's token is needed: --token, or EDGESIGN_TOKEN");
	}
	return makeTarget(url, token, { stack: null, undo: createUndo(), signal });
}

/**
 * A stack of its own on a fresh data folder, which goes with it. No scenario makes RSA keys: filling the stock
 * of them would take the processor from what is measured.
 */
export async function ownTarget(options: Partial<StackOptions> = {}): Promise<Target> {
	const dataDir = await mkdtemp(join(tmpdir(), "edgesign-load-"));
	const undo = createUndo();
	undo.add(() => rm(dataDir, { recursive: true, force: true }));
	try {
		const stack = await startStack({ dataDir, port: 0, spareKeys: false, ...options });
		const url = new URL(stack.urls[0] ?? "");
		return makeTarget(url, stack.admin.token, { stack, undo, signal: options.signal });
	} catch (error) {
		await undo.run();
		throw error;
	}
}

interface Surroundings {
	readonly stack: Stack | null;
	readonly undo: Undo;
	readonly signal: AbortSignal | undefined;
}

function makeTarget(url: URL, token: string, { stack, undo, signal }: Surroundings): Target {
	const tenant = tokenForm.exec(token)?.[1];
	if (tenant === undefined) throw new Problem("the token is not of the form es_TENANT_SECRET");
	const tls = url.protocol === "https:";
	return {
		url: url.origin,
		host: url.hostname.replace(/^\[|\]$/g, ""),
		port: Number(url.port) || (tls ? 443 : 80),
		tls,
		isLocal: loopbackHosts.has(url.hostname),
		tenant,
		token,
		stack,
		call: (method, path, json) =>
			callPatiently({ url: `${url.origin}${path}`, method, token, json, signal }),
		afterStop: undo.add,
		stop: async () => {
			undo.add(() => stack?.stop()); // the last one that is added is run first
			await undo.run();
		},
	};
}

interface Call {
	readonly url: string;
	readonly method: string;
	readonly token: string;
	readonly json: unknown;
	readonly signal: AbortSignal | undefined;
}

/**
 * The parsed answer. A service that was under load a moment ago says no for some seconds: the same is
 * asked again, under one key, so that nothing is made twice.
 */
async function callPatiently<Answer>(call: Call): Promise<Answer> {
	const { url, method, token, json, signal } = call;
	const headers = {
		authorization: `Bearer ${token}`,
		...(json !== undefined && { "content-type": "application/json" }),
		...(method === "POST" && { "idempotency-key": randomUUID() }),
	};
	for (let attempt = 1; ; attempt++) {
		const { ok, status, text } = await ask(call, headers);
		if (ok) return (text === "" ? null : JSON.parse(text)) as Answer;
		const isPassing = status === 503 || status === 429;
		if (!isPassing || attempt === limits.apiAttempts) {
			throw new Problem(`${method} ${url} answered ${status}: ${text}`);
		}
		await sleep(limits.apiPauseMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
	}
}

async function ask({ url, method, json, signal }: Call, headers: Record<string, string>) {
	const inTime = AbortSignal.timeout(limits.apiTimeoutMs);
	try {
		const response = await fetch(url, {
			...{ method, headers },
			...(json !== undefined && { body: JSON.stringify(json) }),
			signal: signal ? AbortSignal.any([signal, inTime]) : inTime,
		});
		return { ok: response.ok, status: response.status, text: await response.text() };
	} catch (error) {
		signal?.throwIfAborted();
		// fetch says no more than that it failed; what failed is its cause.
		const cause = error instanceof Error ? (error.cause ?? error) : error;
		throw new Problem(`${method} ${url}: ${inOneLine(cause)}`, { cause: error });
	}
}

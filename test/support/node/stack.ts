import { readFile, rm } from "node:fs/promises";
import { inject } from "vitest";
import { startStack } from "../../../local/stack.ts";
import { newDataDir } from "./data-dir.ts";

export interface TestStack {
	readonly url: string;
	readonly urls: readonly string[];
	/** For the owner of the database. */
	readonly databaseUrl: string;
	/** Of the gateways that the worker reaches the database and Redis through. */
	readonly neonUrl: string;
	readonly redisUrl: string;
	/** Of the admin who `call` and `fetch` are. */
	readonly token: string;
	/** A request with the admin's token and a JSON body; the parsed answer. Throws on any refusal. */
	call<Answer>(method: string, path: string, json?: unknown): Promise<Answer>;
	/** The same, whatever the status is. */
	fetch(method: string, path: string, json?: unknown, edge?: number): Promise<Response>;
	/** Runs the worker's scheduled handler once, as the cron clock does. */
	scheduled(cron: string): Promise<void>;
	stop(): Promise<void>;
}

export interface TestStackOptions {
	readonly edges?: number;
	/** A folder that outlives the stack; a new one that goes with it when it is left out. */
	readonly dataDir?: string;
	/** Whether the stock of RSA keys is filled; it is left empty by default. */
	readonly spareKeys?: boolean;
	/** Variables for the worker that win over the stack's own. */
	readonly vars?: Readonly<Record<string, string>>;
}

/** The whole stack on free ports, as `npm start` runs it. */
export async function startTestStack(options: TestStackOptions = {}): Promise<TestStack> {
	const dataDir = options.dataDir ?? (await newDataDir());
	const { edges = 1, spareKeys = false, vars = {} } = options;
	const bundleDir = inject("bundleDir");
	const known = { dataDir, bundleDir, durable: false, port: 0 };
	const stack = await startStack({ ...known, edges, spareKeys, vars });
	const token = (await readFile(stack.adminTokenFile, "utf8")).trim();

	function send(method: string, path: string, json?: unknown, edge = 0): Promise<Response> {
		return fetch(`${stack.urls[edge]}${path}`, {
			method,
			headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
			...(json !== undefined && { body: JSON.stringify(json) }),
		});
	}

	return {
		url: stack.urls[0] ?? "",
		urls: stack.urls,
		databaseUrl: stack.databaseUrl,
		neonUrl: stack.neonUrl,
		redisUrl: stack.redisUrl,
		token,
		fetch: send,
		scheduled: (cron) => stack.scheduled(cron, Date.now()),
		async call<Answer>(method: string, path: string, json?: unknown): Promise<Answer> {
			const response = await send(method, path, json);
			const text = await response.text();
			if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
			return JSON.parse(text) as Answer;
		},
		async stop() {
			await stack.stop();
			if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
		},
	};
}

import type { Generator } from "./generator.ts";
import type { BenchWorker, Ground, Variant } from "./workers.ts";

/** Of a fresh process: it is compiled to its end after some 30,000 requests. */
export const firstWarmUpMs = 12_000;

/** What the HTTP benchmarks work with. */
export interface HttpBench {
	readonly ground: Ground;
	readonly service: Service;
	/** The worker that does nothing (worker/empty). */
	readonly empty: BenchWorker;
	readonly generator: Generator;
	/** Starts another form of the service, on the same database. */
	startVariant(name: string, variant: Variant, inspectorPort?: number): Promise<BenchWorker>;
	/** For the owner of the database. */
	readonly databaseUrl: string;
	/** Of the tenant `main`. */
	readonly adminToken: string;
	/** Of the run; it goes when the run ends. */
	readonly folder: string;
}

export interface Service {
	readonly worker: BenchWorker;
	/** A POST as the generator sends it. */
	prepare(path: string, json: unknown): string;
	/** @throws when the status is not 200 to 299 */
	post(path: string, json: unknown): Promise<void>;
}

export function createService(worker: BenchWorker, token: string): Service {
	return {
		worker,
		prepare: (path, json) => prepareRequest("POST", path, json, token),
		async post(path, json) {
			const response = await fetch(`${worker.url}${path}`, {
				method: "POST",
				headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
				body: JSON.stringify(json),
			});
			const text = await response.text();
			if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
		},
	};
}

/** A whole request as text of Latin-1, which JSON of plain ASCII is. */
export function prepareRequest(
	method: "GET" | "POST",
	path: string,
	json?: unknown,
	token?: string,
): string {
	const body = json === undefined ? "" : JSON.stringify(json);
	const lines = [`${method} ${path} HTTP/1.1`, "Host: 127.0.0.1"];
	if (token !== undefined) lines.push(`Authorization: Bearer ${token}`);
	if (json !== undefined) {
		lines.push("Content-Type: application/json", `Content-Length: ${body.length}`);
	}
	return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** 32 bytes in base64, as a message. */
export const sampleMessage = Buffer.alloc(32, 7).toString("base64");

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { closeServer, listen, readBody } from "../../../local/gateway.ts";
import { loopback } from "../../../local/ports.ts";

/** What is wrong with Redis; `lies`: it answers reads with what it had under other names. */
export type RedisFault = "is down" | "takes two seconds" | "lies" | "is out of memory";

/** Stands between the worker and the Redis gateway, and is as bad as it is told to be. */
export interface RedisProxy {
	readonly url: string;
	fault: RedisFault | null;
	/** Requests that came while there was a fault, and reads that were answered while there was none. */
	readonly counts: { troubled: number; answered: number };
	stop(): Promise<void>;
}

const bodyBytesMax = 1024 * 1024;
const slowMs = 2_000;
const outOfMemory = { error: "OOM command not allowed when used memory > 'maxmemory'." };
/** Of answers that are told again. */
const rememberedMax = 50;

/** @param gateway the address of the Redis gateway, once there is one */
export async function startRedisProxy(gateway: Promise<string>): Promise<RedisProxy> {
	const remembered: string[] = [];
	const counts = { troubled: 0, answered: 0 };

	async function forward(request: IncomingMessage, body: Buffer): Promise<[number, string]> {
		const { authorization = "", "upstash-encoding": encoding = "" } = request.headers;
		const reply = await fetch(`${await gateway}${request.url}`, {
			method: "POST",
			headers: { authorization, "upstash-encoding": String(encoding) },
			body: new Uint8Array(body),
		});
		return [reply.status, await reply.text()];
	}

	async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const body = await readBody(request, bodyBytesMax);
		const question = JSON.parse(body.toString()) as string[] | string[][];
		const isRead = question.flat()[0] === "mget";
		const { fault } = proxy;
		if (fault) counts.troubled++;
		if (fault === "is down") return void request.socket.destroy();
		if (fault === "takes two seconds") await sleep(slowMs);
		const told = fault === "lies" && isRead ? lie(question, remembered) : null;
		const refused: [number, string] = [400, JSON.stringify(outOfMemory)];
		const [status, text] =
			fault === "is out of memory" && !isRead ? refused : await forward(request, body);
		if (isRead && !fault) {
			counts.answered++;
			remember(text, remembered);
		}
		response.writeHead(status, { "content-type": "application/json" }).end(told ?? text);
	}

	const server = createServer((request, response) => {
		answer(request, response).catch(() => response.destroy());
	});
	const url = await listen(server, 0, loopback);
	const proxy: RedisProxy = {
		url,
		fault: null,
		counts,
		async stop() {
			server.closeAllConnections();
			await closeServer(server);
		},
	};
	return proxy;
}

/** As many values as were asked for, each of which was the answer to another question. */
function lie(question: string[] | string[][], remembered: readonly string[]): string {
	const answer = (names: readonly string[]) => ({
		result: names.slice(1).map((_, index) => remembered.at(-1 - index) ?? "AAAA"),
	});
	const isPipeline = Array.isArray(question[0]);
	return JSON.stringify(
		isPipeline ? (question as string[][]).map(answer) : answer(question as string[]),
	);
}

function remember(text: string, remembered: string[]): void {
	for (const { result } of [JSON.parse(text) as { result?: unknown }].flat()) {
		for (const value of Array.isArray(result) ? result : []) {
			if (typeof value === "string") remembered.push(value);
		}
	}
	remembered.splice(0, Math.max(0, remembered.length - rememberedMax));
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { codeOf, Problem } from "./problem.ts";

// Longer than any client keeps an idle connection: if the server closes it first, a request may
// already be on its way.
const keepAliveTimeoutMs = 75_000;
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 60_000;
const stopGraceMs = 3_000;
const stopPollMs = 20;

/** A JSON answer, already in text. */
export interface Answer {
	readonly status: number;
	readonly body: string;
	readonly headers?: Readonly<Record<string, string>>;
}

/** @param signal aborts when the caller has gone before the answer was sent */
export type Handler = (request: IncomingMessage, signal: AbortSignal) => Promise<Answer>;

/** A body over its limit. The rest of it has been read and dropped, so an answer can be sent. */
export class BodyTooLarge extends Error {
	override readonly name = "BodyTooLarge";
}

/** An HTTP server whose connections stay open between requests. The handler must not reject. */
export function gatewayServer(handler: Handler): Server {
	const options = { keepAliveTimeout: keepAliveTimeoutMs, headersTimeout: headersTimeoutMs };
	const server = createServer({ ...options, requestTimeout: requestTimeoutMs });
	server.on("request", (request: IncomingMessage, response: ServerResponse) => {
		const gone = new AbortController();
		response.once("close", () => {
			if (!response.writableFinished) gone.abort();
		});
		void handler(request, gone.signal).then(({ status, body, headers }) => {
			if (response.destroyed) return;
			response.writeHead(status, {
				"content-type": "application/json",
				"content-length": Buffer.byteLength(body),
				...headers,
			});
			response.end(body);
		});
	});
	return server;
}

/** @returns the address of the server, without a slash at the end */
export async function listen(server: Server, port: number, host: string): Promise<string> {
	await new Promise<void>((resolve, reject) => {
		server.once("error", (error) => {
			reject(codeOf(error) === "EADDRINUSE" ? new Problem(`port ${port} is in use`) : error);
		});
		server.listen({ port, host, exclusive: true }, resolve);
	});
	const address = server.address();
	const bound = typeof address === "object" && address ? address.port : port;
	return `http://${host.includes(":") ? `[${host}]` : host}:${bound}`;
}

/** Takes no more connections, lets the requests under way end, and cuts off those that do not. */
export async function closeServer(server: Server): Promise<void> {
	const closed = new Promise<void>((resolve) => server.close(() => resolve()));
	const idle = setInterval(() => server.closeIdleConnections(), stopPollMs);
	const rest = setTimeout(() => server.closeAllConnections(), stopGraceMs);
	await closed;
	clearInterval(idle);
	clearTimeout(rest);
}

/**
 * The whole body.
 * @throws BodyTooLarge over the limit: most clients read an answer only after they have sent all
 * of their body, so up to as much again is read and dropped first.
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		let chunks: Buffer[] = [];
		let size = 0;
		request.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size <= maxBytes) {
				chunks.push(chunk);
				return;
			}
			chunks = [];
			if (size > 2 * maxBytes) request.destroy();
		});
		request.once("end", () => {
			if (size > maxBytes) reject(new BodyTooLarge(`the body is over ${maxBytes} bytes`));
			else resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size));
		});
		request.once("error", reject);
		request.once("close", () => reject(new Error("the caller went before its body was read")));
	});
}

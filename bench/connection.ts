import { connect, type OnReadOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { loopback } from "../local/ports.ts";
import { createResponseReader } from "./responses.ts";

const readBytes = 64 * 1024;
const connectTimeoutMs = 10_000;

export interface Connection {
	/** Sends a whole request. Only when the answer to the one before is there. */
	send(request: Uint8Array): void;
	close(): void;
	/** When the request that is on its way counts from; for its owner. */
	since: number;
}

export interface ConnectionOptions {
	/** 127.0.0.1 when it is left out. */
	readonly host?: string;
	readonly port: number;
	readonly tls?: boolean;
	/**
	 * @param code of a refusal, if it has one
	 * @param isLast the server closes the connection now: nothing may be sent on it any more
	 */
	readonly onAnswer: (
		connection: Connection,
		status: number,
		code: string | null,
		isLast: boolean,
	) => void;
	/** Once: the connection is of no use any more. */
	readonly onFailure: (kind: string) => void;
}

/**
 * A kept-alive connection that sends prepared requests, one after the other's answer.
 * @throws Error whose cause is the system's code (ECONNREFUSED, ...) when there is no connection
 */
export function openConnection(options: ConnectionOptions): Promise<Connection> {
	const { host = loopback, port, tls = false, onAnswer, onFailure } = options;
	return new Promise((resolve, reject) => {
		let open = false;
		let over = false;
		const fail = (kind: string) => {
			if (over) return;
			over = true;
			socket.destroy();
			if (open) onFailure(kind);
			else reject(new Error(`no connection to ${host}:${port}: ${kind}`, { cause: kind }));
		};
		const reader = createResponseReader((status, code, isLast) =>
			onAnswer(connection, status, code, isLast),
		);
		const take = (bytes: Buffer) => {
			try {
				reader(bytes);
			} catch (error) {
				fail(error instanceof Error ? error.message : "unreadable answer");
			}
		};
		const where = { host, port, noDelay: true };
		const socket: Socket = tls
			? connectTls({ ...where, servername: host }).on("data", take)
			: connect({ ...where, onread: intoOneBuffer(take) });
		const connection: Connection = {
			since: 0,
			send: (request) => socket.write(request),
			close() {
				over = true;
				socket.destroy();
			},
		};
		socket.setTimeout(connectTimeoutMs, () => fail("connect time-out"));
		socket.once(tls ? "secureConnect" : "connect", () => {
			socket.setTimeout(0);
			open = true;
			resolve(connection);
		});
		socket.once("error", (error: NodeJS.ErrnoException) => fail(error.code ?? "socket error"));
		socket.once("close", () => fail("closed by the server"));
	});
}

/** The bytes stay in one buffer: nothing is allocated for a read. */
function intoOneBuffer(take: (bytes: Buffer) => void): OnReadOpts {
	const buffer = Buffer.allocUnsafe(readBytes);
	const callback = (length: number) => {
		take(buffer.subarray(0, length));
		return true;
	};
	return { buffer, callback };
}

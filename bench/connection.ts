import { connect, type Socket } from "node:net";
import { loopback } from "../local/ports.ts";
import { createResponseReader } from "./responses.ts";

const readBytes = 64 * 1024;

export interface Connection {
	/** Sends the request. Only when the answer to the one before is there. */
	send(): void;
	close(): void;
	/** When the request that is on its way counts from; for its owner. */
	since: number;
}

export interface ConnectionOptions {
	readonly port: number;
	readonly request: Buffer;
	readonly onAnswer: (connection: Connection, status: number) => void;
	/** Once: the connection is of no use any more. */
	readonly onFailure: (kind: string) => void;
}

/** A kept-alive connection that sends one prepared request again and again. */
export function openConnection(options: ConnectionOptions): Promise<Connection> {
	const { port, request, onAnswer, onFailure } = options;
	return new Promise((resolve, reject) => {
		let open = false;
		let over = false;
		const fail = (kind: string) => {
			if (over) return;
			over = true;
			socket.destroy();
			if (open) onFailure(kind);
			else reject(new Error(`no connection to port ${port}: ${kind}`));
		};
		const reader = createResponseReader((status) => onAnswer(connection, status));
		const buffer = Buffer.allocUnsafe(readBytes);
		const socket: Socket = connect({
			host: loopback,
			port,
			noDelay: true,
			// The bytes stay in one buffer: nothing is allocated for a read.
			onread: {
				buffer,
				callback: (length) => {
					try {
						reader(buffer.subarray(0, length));
					} catch (error) {
						fail(error instanceof Error ? error.message : "unreadable answer");
					}
					return true;
				},
			},
		});
		const connection: Connection = {
			since: 0,
			send: () => socket.write(request),
			close() {
				over = true;
				socket.destroy();
			},
		};
		socket.once("connect", () => {
			open = true;
			resolve(connection);
		});
		socket.once("error", (error: NodeJS.ErrnoException) => fail(error.code ?? "socket error"));
		socket.once("close", () => fail("closed by the server"));
	});
}

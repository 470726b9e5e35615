import type { IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { ServerAddress } from "./neon-pools.ts";

const connectTimeoutMs = 5_000;
const messageBytesMax = 64 * 1024 * 1024;
/** Bytes that may wait for a slow WebSocket before the database's side is told to pause. */
const highWaterBytes = 1024 * 1024;
/** For the last bytes to the database, and for the closing handshake of a WebSocket. */
const closeTimeoutMs = 1_000;
const goingAway = 1001;

export interface Tunnels {
	/** For the server's "upgrade" event. */
	open(request: IncomingMessage, socket: Duplex, head: Buffer): void;
	stop(): void;
}

/**
 * The driver's WebSocket form: the bytes of the Postgres protocol, passed on as they are.
 * The database is reached first, so that a caller learns from the handshake when it is not there.
 */
export function createTunnels(server: ServerAddress): Tunnels {
	const sockets = new WebSocketServer({
		noServer: true,
		perMessageDeflate: false,
		maxPayload: messageBytesMax,
	});
	const waiting = new Set<Socket>();
	return {
		open(request, socket, head) {
			const database = connect({ ...server, noDelay: true, keepAlive: true });
			const giveUp = () => database.destroy();
			const refuse = () => {
				waiting.delete(database);
				refuseUpgrade(socket, "502 Bad Gateway");
			};
			waiting.add(database);
			socket.once("close", giveUp);
			database.setTimeout(connectTimeoutMs, giveUp);
			database.on("error", () => {}); // "close" follows
			database.once("close", refuse);
			database.once("connect", () => {
				waiting.delete(database);
				database.setTimeout(0);
				database.off("timeout", giveUp);
				database.off("close", refuse);
				sockets.handleUpgrade(request, socket, head, (webSocket) => {
					socket.off("close", giveUp);
					join(webSocket, database);
				});
			});
		},
		stop() {
			for (const database of waiting) database.destroy();
			for (const webSocket of sockets.clients) closeWebSocket(webSocket, goingAway);
		},
	};
}

export function refuseUpgrade(socket: Duplex, status: string): void {
	socket.on("error", () => {});
	socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Each end is paused while the other can not keep up, and closed when the other has closed. */
function join(webSocket: WebSocket, database: Socket): void {
	webSocket.on("message", (data) => {
		if (data instanceof Uint8Array && !database.write(data)) webSocket.pause();
	});
	database.on("drain", () => webSocket.resume());
	const resume = () => {
		if (webSocket.bufferedAmount < highWaterBytes && database.isPaused()) database.resume();
	};
	database.on("data", (bytes) => {
		webSocket.send(bytes, { binary: true }, resume);
		if (webSocket.bufferedAmount >= highWaterBytes) database.pause();
	});
	database.once("close", () => closeWebSocket(webSocket));
	webSocket.on("error", () => {}); // "close" follows
	webSocket.once("close", () => {
		database.setTimeout(closeTimeoutMs, () => database.destroy());
		database.resume(); // so that its end is seen
		database.end();
	});
}

function closeWebSocket(webSocket: WebSocket, code?: number): void {
	webSocket.resume(); // so that the other side's answer is seen
	webSocket.close(code);
	setTimeout(() => webSocket.terminate(), closeTimeoutMs).unref();
}

import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, Problem } from "./problem.ts";

export const loopback = "127.0.0.1";

/** Listens for a moment; resolves to the port, or rejects with the system's error. */
function tryPort(port: number): Promise<number> {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.once("error", reject);
		server.listen({ host: loopback, port, exclusive: true }, () => {
			const address = server.address();
			const bound = typeof address === "object" && address ? address.port : port;
			server.close(() => resolve(bound));
		});
	});
}

/** Below those that Linux (32768) and macOS (49152) give to whoever connects, who could have it before it is listened on. */
const [lowestFree, highestFree] = [16_384, 32_000];
const triesForFree = 50;

/** A port of the loopback address that nothing listens on now. */
export async function freePort(): Promise<number> {
	for (let attempt = 0; attempt < triesForFree; attempt++) {
		try {
			return await tryPort(randomInt(lowestFree, highestFree));
		} catch (error) {
			if (codeOf(error) !== "EADDRINUSE") throw error;
		}
	}
	throw new Problem(`no free port was found on ${loopback}`);
}

/** `count` free ports in a row, `first` being the lowest; 0 means wherever there is room. */
export async function portsInARow(first: number, count: number): Promise<number[]> {
	if (first !== 0) {
		const ports = Array.from({ length: count }, (_, index) => first + index);
		for (const port of ports) await claim(port);
		return ports;
	}
	for (let attempt = 0; attempt < 50; attempt++) {
		const start = await freePort();
		const ports = Array.from({ length: count }, (_, index) => start + index);
		const free = await Promise.allSettled(ports.slice(1).map(tryPort));
		if (free.every(({ status }) => status === "fulfilled")) return ports;
	}
	throw new Problem(`no ${count} free ports in a row were found on ${loopback}`);
}

/** Gives a server that was killed a moment ago the time to go before the port counts as taken. */
async function claim(port: number): Promise<void> {
	for (let attempt = 0; ; attempt++) {
		try {
			await tryPort(port);
			return;
		} catch (error) {
			if (codeOf(error) === "EACCES") {
				throw new Problem(`port ${port} may not be used by this user: set PORT to one above 1023`, {
					cause: error,
				});
			}
			if (codeOf(error) !== "EADDRINUSE" || attempt === 5) {
				throw new Problem(
					`port ${port} is in use: stop what listens there, or set PORT to another`,
					{ cause: error },
				);
			}
			await sleep(100);
		}
	}
}

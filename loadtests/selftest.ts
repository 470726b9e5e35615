/**
 * The generator against servers whose behaviour is known: `npm run load -- selftest`. The same checks
 * are tests, at sizes that a busy machine can hold (test/loadtests/generator.node.test.ts).
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { loopback } from "../local/ports.ts";
import { Problem } from "../local/problem.ts";
import type { Mix, PhaseJob } from "./generator/messages.ts";
import { startGenerator } from "./generator/process.ts";
import { limits } from "./limits.ts";
import { threeDigits } from "./thresholds.ts";
import { type Summary, Timeline } from "./timeline.ts";

/** What was found, beside what it must be. */
export interface Check {
	readonly name: string;
	readonly found: number;
	readonly theory: number;
	/** The most that the two may differ, as a share of the theory. */
	readonly within: number;
	readonly unit: string;
}

export function isMet({ found, theory, within }: Check): boolean {
	return Math.abs(found - theory) <= within * theory;
}

const request = Buffer.from("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const everything: Mix = [[0, 1]];
const warmUpSeconds = 1;
const timeoutMs = 10_000;

interface Server {
	readonly port: number;
	close(): void;
}

/** @param onRequest told of each, with its number and what answers it */
async function serve(onRequest: (number: number, reply: () => void) => void): Promise<Server> {
	const sockets = new Set<Socket>();
	let requests = 0;
	const server = createServer({ noDelay: true }, (socket) => {
		sockets.add(socket);
		socket.on("error", () => {});
		socket.once("close", () => sockets.delete(socket));
		// The generator sends the next request after the answer: what comes is one of them.
		socket.on("data", () => onRequest(requests++, () => socket.write(answer)));
	});
	await once(server.listen(0, loopback), "listening");
	return {
		port: (server.address() as AddressInfo).port,
		close() {
			for (const socket of sockets) socket.destroy();
			server.close();
		},
	};
}

/** One rate for some seconds, after a second of warm-up that does not count. */
async function measure(port: number, rate: number, seconds: number): Promise<Summary> {
	const kind = { name: "get", requests: [request], uniqueAt: [[]], expects: [200] };
	const timeline = new Timeline([kind]);
	const generator = startGenerator((pulse) => timeline.add(pulse));
	try {
		const session = { host: loopback, port, tls: false, kinds: [kind], seed: 1, timeoutMs };
		await generator.open({ ...session, connections: 512, waitingMax: limits.waitingMax });
		const phase = (seconds: number): PhaseJob => ({
			seconds,
			loads: [{ model: "open", rateFrom: rate, rateTo: rate, mix: everything }],
		});
		const { from, to } = await generator.run([phase(warmUpSeconds), phase(seconds)], () => {});
		return timeline.summary([{ from: from + warmUpSeconds * 1000, to }], [0]);
	} finally {
		await generator.end();
	}
}

/** A rate is held, against a server that answers at once. The last check is of answers that come in time. */
export async function checkRate(rate: number, seconds: number): Promise<Check[]> {
	const server = await serve((_, reply) => reply());
	try {
		const summary = await measure(server.port, rate, seconds);
		const common = { theory: rate, within: 0.005, unit: "/s" };
		return [
			{ ...common, name: `${rate}/s: due`, found: summary.offered / summary.seconds },
			{ ...common, name: `${rate}/s: sent and answered`, found: summary.right / summary.seconds },
			{ ...common, name: `${rate}/s: answered in the time`, found: summary.rate },
		];
	} finally {
		server.close();
	}
}

const delays = { usualMs: 40, slowMs: 160, slowestMs: 480 } as const;

/** Of a hundred requests 80 take 40 ms, 15 take 160 ms and 5 take 480 ms. */
export async function checkDelays(rate: number, seconds: number): Promise<Check[]> {
	const { usualMs, slowMs, slowestMs } = delays;
	const server = await serve((number, reply) => {
		const place = (number * 7) % 100; // 7 and 100 have no factor in common: each place once
		setTimeout(reply, place < 80 ? usualMs : place < 95 ? slowMs : slowestMs);
	});
	try {
		const { latency } = await measure(server.port, rate, seconds);
		const { p50 = Number.NaN, p90 = Number.NaN, p99 = Number.NaN } = latency ?? {};
		const check = (name: string, found: number, theory: number, within: number): Check => ({
			...{ name: `${name} ${theory} ms`, found, theory, within, unit: "ms" },
		});
		return [
			check("p50, where 80 of 100 take", p50, usualMs, 0.25),
			check("p90, where 15 of 100 take", p90, slowMs, 0.1),
			check("p99, where 5 of 100 take", p99, slowestMs, 0.05),
		];
	} finally {
		server.close();
	}
}

const stallMs = 1_000;

/**
 * The server answers nothing for a second. Whoever is due in it waits for the rest of it, from the
 * whole down to nothing, so 1 % of all requests wait longer than the stall less 1 % of the run.
 */
export async function checkStall(rate: number, seconds: number): Promise<Check[]> {
	const stallAt = Math.round(rate * (warmUpSeconds + seconds / 3));
	let held: (() => void)[] | null = null;
	let stalledMs = Number.NaN;
	const server = await serve((number, reply) => {
		if (number === stallAt) {
			const begun = performance.now();
			held = [];
			setTimeout(() => {
				// A timer is late by what the machine makes of it; who waited for longest is released first.
				stalledMs = performance.now() - begun;
				for (const release of held ?? []) release();
				held = null;
			}, stallMs);
		}
		if (held) held.push(reply);
		else reply();
	});
	try {
		const { latency } = await measure(server.port, rate, seconds);
		const found = latency?.p99 ?? Number.NaN;
		const theory = stalledMs - 0.01 * seconds * 1000;
		const name = `p99 of ${seconds} s with a stall of 1 s`;
		return [{ name, found, theory, within: 0.05, unit: "ms" }];
	} finally {
		server.close();
	}
}

const full = { rate: 5_000, seconds: 10 };

/** @throws Problem when one of them is not met */
export async function selftest(): Promise<void> {
	const checks = [
		...(await checkRate(full.rate, full.seconds)),
		...(await checkDelays(500, full.seconds)),
		...(await checkStall(1_000, full.seconds)),
	];
	for (const check of checks) {
		const { name, found, theory, within, unit } = check;
		const range = `${threeDigits(theory)} ${unit}, within ${within * 100} %`;
		console.log(
			`${isMet(check) ? "ok  " : "FAIL"}  ${name}: ${found.toFixed(1)} ${unit} (${range})`,
		);
	}
	if (!checks.every(isMet)) throw new Problem("the generator does not measure what it should");
}

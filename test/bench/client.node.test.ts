import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { FromClient, Job, Outcome } from "../../bench/client-messages.ts";

const request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
let client: ChildProcess | undefined;
let server: Server | undefined;

async function serve(listener: RequestListener): Promise<number> {
	server = createServer(listener);
	await once(server.listen(0, "127.0.0.1"), "listening");
	return (server.address() as AddressInfo).port;
}

async function run(job: Partial<Job> & Pick<Job, "port">): Promise<Outcome> {
	client ??= fork(join(import.meta.dirname, "../../bench/client.ts"), { execArgv: [] });
	const whole = { request, connections: 4, warmUpMs: 50, measureMs: 400, rate: null, ...job };
	client.send(whole satisfies Job);
	const [message] = (await once(client, "message")) as [FromClient];
	if (message.type === "failed") throw new Error(message.reason);
	return message.outcome;
}

/** Without those whose answers did not come in time: a machine may be busy just then. */
function withoutLate({ failures }: Pick<Outcome, "failures">): Readonly<Record<string, number>> {
	const { "no answer": _, ...others } = failures;
	return others;
}

afterEach(() => {
	server?.closeAllConnections();
	server?.close();
});
afterAll(async () => {
	client?.kill();
	if (client) await once(client, "exit");
});

describe("the load generator", () => {
	test("every answer counts, in the time that is measured", async () => {
		let served = 0;
		const port = await serve((_, response) => {
			served++;
			response.end("ok");
		});
		const outcome = await run({ port });
		expect(outcome.answeredInAll).toBe(served);
		expect(outcome.answered).toBeLessThan(served);
		expect(outcome.perSecond).toBeCloseTo(outcome.answered / 0.4, 5);
		expect(withoutLate(outcome)).toEqual({});
	});

	test("without a schedule each connection waits for its answer", async () => {
		const port = await serve((_, response) => setTimeout(() => response.end("ok"), 20));
		const { answered, latencyMs } = await run({ port, connections: 2, measureMs: 4_000 });
		expect(answered).toBeLessThanOrEqual((2 * 4_000) / 20);
		expect(answered).toBeGreaterThan(0);
		expect(latencyMs?.p50).toBeGreaterThan(18);
	});

	test("a schedule is kept whatever the server does", async () => {
		const port = await serve((_, response) => setTimeout(() => response.end("ok"), 20));
		const outcome = await run({ port, connections: 32, rate: 50, measureMs: 4_000 });
		// Without a schedule 32 connections had 6,400 answers; a busy machine has fewer of those that are due.
		expect(outcome.answered).toBeGreaterThan(20);
		expect(outcome.answered).toBeLessThan(230);
		expect(outcome.dropped).toBe(0);
		expect(outcome.latencyMs?.p50).toBeGreaterThan(18);
	});

	test("a stall of the server counts for every request that was due meanwhile", async () => {
		let stalledUntil = 0;
		let served = 0;
		const port = await serve((_, response) => {
			if (++served === 100) stalledUntil = performance.now() + 300;
			setTimeout(() => response.end("ok"), Math.max(0, stalledUntil - performance.now()));
		});
		// One connection: during the stall nothing else can be sent, yet 60 requests are due.
		const { latencyMs } = await run({ port, connections: 1, rate: 200, measureMs: 1_500 });
		expect(latencyMs?.max).toBeGreaterThan(290);
		expect(latencyMs?.p95).toBeGreaterThan(150);
	});

	test("what the server is too slow for is dropped and told", async () => {
		const port = await serve((_, response) => setTimeout(() => response.end("ok"), 1_000));
		const { dropped } = await run({ port, connections: 1, rate: 1_000, measureMs: 2_500 });
		expect(dropped).toBeGreaterThan(0);
	});

	test("other statuses and closed connections are failures by kind, not answers", async () => {
		let served = 0;
		const port = await serve((incoming, response) => {
			served++;
			if (served === 5) incoming.socket.destroy();
			else response.writeHead(served % 2 === 0 ? 503 : 200, { "Content-Length": 4 }).end("text");
		});
		const { answered, ...outcome } = await run({ port, connections: 2, measureMs: 2_000 });
		const { "status 503": refused, ...failures } = withoutLate(outcome);
		expect(refused).toBeGreaterThan(0);
		expect(Object.keys(failures)).toEqual([
			expect.stringMatching(/ECONNRESET|closed by the server/),
		]);
		expect(answered).toBeGreaterThan(0);
	});

	test("a server that is not there is told as such", async () => {
		const port = await serve((_, response) => response.end());
		server?.close();
		await expect(run({ port })).rejects.toThrow("ECONNREFUSED");
	});
});

import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { ClosedLoad, OpenLoad, Session } from "../../loadtests/generator/messages.ts";
import { type GeneratorProcess, startGenerator } from "../../loadtests/generator/process.ts";
import { limits } from "../../loadtests/limits.ts";
import { prepareKind, uniqueMark } from "../../loadtests/requests.ts";
import { type Check, checkDelays, checkRate, checkStall, isMet } from "../../loadtests/selftest.ts";
import { type Summary, Timeline } from "../../loadtests/timeline.ts";

let server: Server | undefined;
let generator: GeneratorProcess | undefined;
let timeline = new Timeline([]);

afterEach(() => {
	server?.closeAllConnections();
	server?.close();
	server = undefined;
});
afterAll(() => generator?.end());

async function serve(listener: RequestListener): Promise<number> {
	server = createServer(listener);
	await once(server.listen(0, "127.0.0.1"), "listening");
	return (server.address() as AddressInfo).port;
}

const get = prepareKind(
	{ name: "get", requests: [{ method: "GET", path: "/" }], expects: [200] },
	"127.0.0.1",
);
const open = (rate: number, rateTo = rate): OpenLoad => ({
	...{ model: "open", rateFrom: rate, rateTo, mix: [[0, 1]] },
});

async function run(
	session: Partial<Session> & Pick<Session, "port">,
	load: OpenLoad | ClosedLoad,
	seconds = 1,
): Promise<Summary> {
	const whole = {
		...{ host: "127.0.0.1", tls: false, kinds: [get], seed: 1 },
		...{ connections: 64, waitingMax: limits.waitingMax, timeoutMs: 5_000 },
		...session,
	};
	timeline = new Timeline(whole.kinds);
	generator ??= startGenerator((pulse) => timeline.add(pulse));
	await generator.open(whole);
	const interval = await generator.run([{ seconds, loads: [load] }], () => {});
	return timeline.summary([interval], [0]);
}

function expectMet(checks: readonly Check[]): void {
	for (const check of checks) expect(isMet(check), JSON.stringify(check)).toBe(true);
}

/** A busy machine adds to what is waited for, and takes nothing off: that a generator that overlooks it does. */
function expectNotLess(checks: readonly Check[]): void {
	for (const { name, found, theory, within } of checks) {
		expect(found, name).toBeGreaterThanOrEqual(theory * (1 - within));
	}
}

describe("the generator against servers whose behaviour is known", () => {
	it("sends what a rate demands, all of it", async () => {
		// When the answers come is for a machine that does nothing else: `npm run load -- selftest`.
		expectMet((await checkRate(1_000, 1)).slice(0, 2));
	});

	it("finds the percentiles of known delays", async () => {
		expectNotLess(await checkDelays(300, 1));
	});

	it("shows a stall of a second in the p99, as the schedule demands", async () => {
		expectNotLess(await checkStall(500, 2));
	});
});

describe("an open load", () => {
	it("is due by its schedule whatever the server does, and each request ends once", async () => {
		const port = await serve((_, response) => setTimeout(() => response.end("ok"), 30));
		const { offered, outcomes } = await run({ port }, open(40, 160));
		expect(offered).toBe(100);
		expect(outcomes).toEqual({ 200: 100 });
	});

	it("drops and counts what finds too many waiting, and gives up what waits too long", async () => {
		const port = await serve(() => {});
		const settings = { port, connections: 1, waitingMax: 10, timeoutMs: 300 };
		const { offered, dropped, outcomes, errors, latency } = await run(settings, open(200));
		expect(offered).toBe(200);
		expect(dropped).toBeGreaterThan(50);
		expect(outcomes.timeout).toBe(offered - dropped);
		expect(errors).toBe(offered - dropped);
		// A request without an answer is not left out of the percentiles.
		expect(latency?.p50).toBeCloseTo(300, -1);
	});

	it("counts other statuses and broken connections by what they are, as errors", async () => {
		let served = 0;
		const port = await serve((incoming, response) => {
			served++;
			if (served % 10 === 0) incoming.socket.destroy();
			else response.writeHead(served % 5 === 0 ? 503 : 200).end("text");
		});
		const { outcomes, errors, right, offered } = await run({ port }, open(100));
		expect(outcomes[503]).toBeGreaterThan(5);
		expect(errors).toBe(20);
		expect(right + errors).toBe(offered);
	});

	it.each([
		["each answer", 1],
		["ten of them", 10],
	])("sends nothing on a connection that the server closes after %s", async (_, most) => {
		let sockets = 0;
		const port = await serve((_, response) => response.end("ok"));
		if (server) server.maxRequestsPerSocket = most;
		server?.on("connection", () => sockets++);
		const { outcomes } = await run({ port, connections: 8 }, open(200));
		expect(outcomes).toEqual({ 200: 200 });
		expect(sockets).toBeGreaterThanOrEqual(200 / most);
	});

	it("tells of a server that is not there, and goes on", async () => {
		const port = await serve(() => {});
		server?.close();
		const { outcomes } = await run({ port }, open(50));
		expect(outcomes).toEqual({ ECONNREFUSED: 50 });
	});

	it("gives every request another number where it asks for one", async () => {
		const seen = new Set<string>();
		const port = await serve((incoming, response) => {
			seen.add(incoming.url ?? "");
			response.end();
		});
		const path = `/made-${uniqueMark}`;
		const shape = { name: "made", requests: [{ method: "GET" as const, path }], expects: [200] };
		const { right } = await run({ port, kinds: [prepareKind(shape, "127.0.0.1")] }, open(60));
		expect(right).toBe(60);
		expect(seen.size).toBe(60);
		expect([...seen].every((url) => /^\/made-\d{10}$/.test(url))).toBe(true);
	});
});

describe("a closed load", () => {
	it("has one request under way for each user, each on a connection of their own", async () => {
		let [now, most] = [0, 0];
		const sockets = new Set<unknown>();
		const port = await serve((incoming, response) => {
			sockets.add(incoming.socket);
			most = Math.max(most, ++now);
			setTimeout(() => {
				now--;
				response.end("ok");
			}, 20);
		});
		const load: ClosedLoad = {
			...{ model: "closed", users: 20, thinkMs: 40, rampMs: 0, mix: [[0, 1]] },
		};
		const { offered, right } = await run({ port }, load, 1.5);
		expect(most).toBeLessThanOrEqual(20);
		expect(sockets.size).toBe(20);
		expect(right).toBe(offered);
		// 60 ms for each round; a busy machine has fewer of them.
		expect(offered).toBeLessThan((20 * 1_500) / 40);
		expect(offered).toBeGreaterThanOrEqual(20);
	});

	it("gives a user another connection when the server closes theirs", async () => {
		const sockets = new Set<unknown>();
		const port = await serve((incoming, response) => {
			sockets.add(incoming.socket);
			response.setHeader("Connection", "close").end("ok");
		});
		const load: ClosedLoad = {
			...{ model: "closed", users: 5, thinkMs: 40, rampMs: 0, mix: [[0, 1]] },
		};
		const { offered, outcomes } = await run({ port }, load);
		expect(outcomes).toEqual({ 200: offered });
		expect(sockets.size).toBe(offered);
	});
});

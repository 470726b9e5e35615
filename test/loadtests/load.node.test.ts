import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readResult } from "../../loadtests/files.ts";
import { readOptions, withoutToken } from "../../loadtests/options.ts";
import type { LoadResult } from "../../loadtests/results.ts";
import { runScenario } from "../../loadtests/run-scenario.ts";
import type { Phase } from "../../loadtests/scenario.ts";
import { scenarios } from "../../loadtests/scenarios/index.ts";
import { ownTarget, remoteTarget, type Target } from "../../loadtests/target.ts";
import { Problem } from "../../local/problem.ts";
import { project, runCommand } from "../support/node/processes.ts";

let target: Target;
let folder: string;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-load-test-"));
	target = await ownTarget({ durable: false });
});
afterAll(async () => {
	await target?.stop();
	await rm(folder, { recursive: true, force: true });
});

async function load(...args: readonly string[]) {
	const command = runCommand(process.execPath, [join(project, "loadtests/run.ts"), ...args]);
	const code = await command.ended;
	return { code, stdout: command.stdout(), stderr: command.stderr() };
}

function read(file: string): Promise<string> {
	return readFile(join(folder, file), "utf8");
}

async function filesWith(ending: string): Promise<string[]> {
	return (await readdir(folder)).filter((file) => file.endsWith(ending)).sort();
}

describe("a scenario against the real service", () => {
	it("writes a page that needs nothing beside it, and fails where a threshold is broken", async () => {
		const { code, stdout, stderr } = await load(
			...["steady", "--url", target.url, "--token", target.token, "--out", folder],
			...["--rate", "20", "--seconds", "2"],
			...["--threshold", "errors<50%", "--threshold", "sign:p50<1us"],
		);
		expect(stderr).toBe("edgesign: a threshold does not hold\n");
		expect(code).toBe(1);
		expect(stdout).toMatch(/ok +errors<50%/);
		expect(stdout).toMatch(/FAIL +sign:p50<1us/);
		const [page = "", file = ""] = [...(await filesWith(".html")), ...(await filesWith(".json"))];
		const [html, json] = [await read(page), await read(file)];
		expect(json + html + stdout).not.toContain(target.token);
		const result = JSON.parse(json) as LoadResult;
		expect(result.overall.offered).toBe(40);
		// What a busy machine is too slow for counts as an error.
		expect(result.overall.errors).toBeLessThan(20);
		expect(result.kinds.map(({ name }) => name)).toContain("sign");
		expect(html).not.toMatch(/<script|<link|<img|\b(src|href)=|@import|url\(/);
		expect(html.match(/<svg/g)?.length).toBeGreaterThan(3);
	});

	it("compares two runs, and shows an earlier one beside a later one", async () => {
		const [file = ""] = await filesWith(".json");
		const path = join(folder, file);
		const { code, stdout } = await load("compare", path, path, "--out", folder);
		expect(code).toBe(0);
		expect(stdout).toMatch(/all +p95 .* 1\.000/);
		expect((await filesWith(".html")).some((name) => name.startsWith("compare-"))).toBe(true);
	});

	it("keeps attackers apart, who get the refusals that they should", async () => {
		const phases: string[] = [];
		const result = await runScenario(scenarios.attack, {
			...{ target, sizes: { rate: 12, seconds: 2 } },
			thresholds: ["malformed:errors<0.1%", "throttled:429>1%", "stolen:errors<0.1%"],
			onPhase: ({ name }: Phase) => phases.push(name),
		});
		expect(phases).toEqual(["warm-up", "before", "attack", "after"]);
		const outcomes = Object.fromEntries(
			result.kinds.filter(({ hostile }) => hostile).map((kind) => [kind.name, kind.outcomes]),
		);
		// What a busy machine is too slow for is refused with 503, or comes too late.
		const refused = Object.values(outcomes).flatMap(Object.keys).map(Number);
		expect(refused).toEqual(expect.arrayContaining([400, 401, 403]));
		expect(Object.keys(outcomes.malformed ?? {})).not.toContain("200");
		expect(Object.keys(outcomes.stolen ?? {})).not.toContain("200");
		expect(Object.keys(outcomes.flood ?? {})).not.toContain("200");
		expect(result.overall.offered).toBe(12 * 3);
	});
});

describe("what can not be run", () => {
	const token = `es_main_${"a".repeat(43)}`;

	it("is told in a line, and nothing is started", async () => {
		const { code, stderr } = await load("steady", "--threshold", "p95");
		expect(code).toBe(1);
		expect(stderr).toMatch(/^edgesign: the threshold "p95" is not of the form .*\n$/);
	});

	it.each([
		[["--rate", "fast"], "--rate must be a number above 0"],
		[["--users", "5000"], "--users must be a number above 0, up to 4000"],
		[["--connections", "0"], "--connections must be a whole number from 1"],
	])("%j is refused with the rule", (args, message) => {
		expect(() => readOptions(args)).toThrow(message);
	});

	it("is another machine that nobody allowed, or a service without a token", () => {
		expect(() => remoteTarget("http://example.com", token, false)).toThrow("--allow-remote");
		expect(remoteTarget("https://example.com", token, true)).toMatchObject({
			...{ host: "example.com", port: 443, tls: true, tenant: "main", isLocal: false },
		});
		expect(() => remoteTarget("ftp://127.0.0.1", token, false)).toThrow("--url must be");
		expect(() => remoteTarget("http://127.0.0.1", undefined, false)).toThrow("EDGESIGN_TOKEN");
		expect(() => remoteTarget("http://127.0.0.1", "x", false)).toThrow("es_TENANT_SECRET");
	});

	it("is a comparison with something that is no result", async () => {
		await expect(readResult(join(folder, "none.json"))).rejects.toThrow("can not be read");
		await expect(readResult(join(project, "package.json"))).rejects.toThrow("not the JSON of");
		const hollow = join(folder, "hollow.json");
		await writeFile(hollow, JSON.stringify({ version: 1, overall: {}, series: [] }));
		await expect(readResult(hollow)).rejects.toThrow(
			"hollow.json is not the JSON of a load test: ",
		);
		const { code, stderr } = await load("steady", "--baseline", hollow);
		expect(code).toBe(1);
		expect(stderr).toMatch(/^edgesign: \S+hollow\.json is not the JSON of [^\n]+\n$/);
	});

	it("is a folder for the results that can not be made", async () => {
		const file = join(folder, "file");
		await writeFile(file, "");
		const { code, stderr } = await load("steady", "--out", join(file, "results"));
		expect(code).toBe(1);
		expect(stderr).toMatch(/^edgesign: the results can not be written: E[A-Z]+: [^\n]+\n$/);
	});

	it("is a threshold about a phase that there is not", async () => {
		const { code, stderr } = await load("spike", "--threshold", "p95<50ms @nosuch");
		expect(code).toBe(1);
		expect(stderr).toBe(
			'edgesign: the threshold "p95<50ms @nosuch" is about no phase that is measured: there is before, spike, after\n',
		);
	});

	it("is a service that does not answer: it ends at once when it is asked to", async () => {
		const server = createServer(() => {}); // accepts, and says nothing
		await once(server.listen(0, "127.0.0.1"), "listening");
		try {
			const ending = new AbortController();
			const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
			const silent = remoteTarget(address, token, false, ending.signal);
			const running = runScenario(scenarios.steady, { target: silent, signal: ending.signal });
			server.once("connection", () => ending.abort(new Problem("stopped")));
			await expect(running).rejects.toThrow(new Problem("stopped"));
		} finally {
			server.close();
		}
	});

	it("is a service that says no for a while: it ends in the pause too", async () => {
		const ending = new AbortController();
		const server = createHttpServer((_, response) => {
			response
				.writeHead(503)
				.end(() => setTimeout(() => ending.abort(new Problem("stopped")), 100));
		});
		let asked = 0;
		server.on("request", () => asked++);
		await once(server.listen(0, "127.0.0.1"), "listening");
		try {
			const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
			const busy = remoteTarget(address, token, false, ending.signal);
			await expect(busy.call("GET", "/v1/keys")).rejects.toThrow(new Problem("stopped"));
			expect(asked).toBe(1);
		} finally {
			server.closeAllConnections();
			server.close();
		}
	});

	it("is a service that is not there: told with its address, in a line", async () => {
		const server = createServer();
		await once(server.listen(0, "127.0.0.1"), "listening");
		const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
		await once(server.close(), "close");
		const gone = remoteTarget(`http://${host}`, token, false);
		await expect(gone.call("POST", "/v1/keys", {})).rejects.toThrow(
			new Problem(`POST http://${host}/v1/keys: connect ECONNREFUSED ${host}`),
		);
	});

	it("does not show the token in a report", () => {
		expect(withoutToken(["steady", "--token", "es_a", "--token=es_b", "--rate", "1"])).toEqual([
			...["steady", "--token", "...", "--token=...", "--rate", "1"],
		]);
	});
});

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
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
		const token = `es_main_${"a".repeat(43)}`;
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
	});

	it("does not show the token in a report", () => {
		expect(withoutToken(["steady", "--token", "es_a", "--token=es_b", "--rate", "1"])).toEqual([
			...["steady", "--token", "...", "--token=...", "--rate", "1"],
		]);
	});
});

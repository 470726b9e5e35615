import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { fillDataDir } from "../support/node/data-dir.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";
import { type StatementGate, startStatementGate } from "../support/node/statement-gate.ts";

let folder: string;
let gate: StatementGate;
let stack: TestStack;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-benchmarks-"));
	const { promise: gateway, resolve } = Promise.withResolvers<string>();
	gate = await startStatementGate(gateway);
	await fillDataDir(join(folder, ".data"));
	stack = await startTestStack({
		dataDir: join(folder, ".data"),
		vars: { NEON_GATEWAY: gate.url },
	});
	resolve(stack.neonUrl);
});
afterAll(async () => {
	await stack?.stop();
	await gate?.stop();
	await rm(folder, { recursive: true, force: true });
});

interface Run {
	readonly id: string;
	readonly origin: string;
	readonly figures: { readonly partsMs: { readonly postgres: number } };
}

interface Alert {
	readonly id: string;
	readonly rule: string;
	readonly subject: string;
	readonly bottleneck: string;
	readonly advice: string;
	readonly resolvedAt: string | null;
}

const everyMinute = "* * * * *";
/** Between what a busy machine takes and what the slow statements take: four of them have eight seconds. */
const thresholdMs = 1_000;
const slowMs = 1_200;
const runNow = () => stack.call<{ run: Run; alerts: Alert[] }>("POST", "/v1/benchmarks/run");
const runs = async () => (await stack.call<{ runs: Run[] }>("GET", "/v1/benchmarks")).runs;
const isOfGetKey = ({ rule, subject }: Alert) =>
	rule === "max_response_time_ms" && subject === "responseMs.getKey";

describe("benchmarks of the service as `npm start` runs it", () => {
	it("are made by the cron clock once they are on, no sooner than their interval", async () => {
		expect(await runs()).toEqual([]);
		const performance_thresholds = { max_response_time_ms: thresholdMs };
		const benchmarking_config = { enable_benchmarks: true, performance_thresholds };
		await stack.call("PUT", "/v1/config", { benchmarking_config });
		await stack.scheduled(everyMinute);
		// The tick of the start may still go on, and have taken the turn.
		await vi.waitUntil(async () => (await runs()).length > 0, { timeout: 30_000, interval: 100 });
		await stack.scheduled(everyMinute);
		expect(await runs()).toMatchObject([{ origin: "schedule" }]);
	});

	it("raise an alert that names Postgres when that is slow, and resolve it when it is not", async () => {
		gate.slowDown(slowMs);
		const slow = await runNow();
		gate.slowDown(0);
		const raised = slow.alerts.find(isOfGetKey);
		expect(raised).toMatchObject({ bottleneck: "postgres", resolvedAt: null });
		expect(raised?.advice).toMatch(/^Postgres took \d+/);
		expect(slow.run.figures.partsMs.postgres).toBeGreaterThanOrEqual(slowMs);

		const well = await runNow();
		expect(well.alerts.find(isOfGetKey)).toBeUndefined();
		const { alerts } = await stack.call<{ alerts: Alert[] }>("GET", "/v1/benchmarks/alerts");
		expect(alerts.find(({ id }) => id === raised?.id)?.resolvedAt).not.toBeNull();
	}, 120_000);
});

describe("the commands of the guide to benchmarks", () => {
	it("do what it says when they are pasted one after the other", async () => {
		const path = join(import.meta.dirname, "../../docs/guides/benchmarks.md");
		const blocks = readFileSync(path, "utf8").matchAll(/^```sh\n(.*?)^```$/gms);
		const text = [...blocks].map(([, block]) => block).join("\n");
		const script = text.replace("http://127.0.0.1:8787", stack.url);
		expect(script).toContain(stack.url);
		const { stdout } = await promisify(execFile)("sh", ["-euc", script], { cwd: folder });
		const answers = stdout
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line));
		expect(answers).toMatchObject([
			{ run: { origin: "request" }, alerts: expect.any(Array) },
			{ config: { benchmarking_config: { enable_benchmarks: true } } },
			{ runs: expect.any(Array), trends: expect.any(Array) },
			{ alerts: expect.any(Array) },
		]);
		expect(answers[2].runs[0]).toEqual(answers[0].run);
	});
});

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestStack, type TestStack } from "../support/node/stack.ts";
import { type StatementGate, startStatementGate } from "../support/node/statement-gate.ts";

let gate: StatementGate;
let stack: TestStack;
beforeAll(async () => {
	const { promise: gateway, resolve } = Promise.withResolvers<string>();
	gate = await startStatementGate(gateway);
	stack = await startTestStack({ vars: { NEON_GATEWAY: gate.url } });
	resolve(stack.neonUrl);
});
afterAll(async () => {
	await stack?.stop();
	await gate?.stop();
});

interface Run {
	readonly id: string;
	readonly origin: string;
	readonly unreachable: readonly string[];
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
const slowMs = 150;
const runNow = () => stack.call<{ run: Run; alerts: Alert[] }>("POST", "/v1/benchmarks/run");
const runs = async () => (await stack.call<{ runs: Run[] }>("GET", "/v1/benchmarks")).runs;
const isOfGetKey = ({ rule, subject }: Alert) =>
	rule === "max_response_time_ms" && subject === "responseMs.getKey";

describe("benchmarks of the service as `npm start` runs it", () => {
	it("are made by the cron clock once they are on, no sooner than their interval", async () => {
		await stack.scheduled(everyMinute);
		expect(await runs()).toEqual([]);
		const json = { benchmarking_config: { enable_benchmarks: true } };
		await stack.call("PUT", "/v1/config", json);
		await stack.scheduled(everyMinute);
		await stack.scheduled(everyMinute);
		expect(await runs()).toMatchObject([{ origin: "schedule", unreachable: [] }]);
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
	});
});

import { env, exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import type { Benchmark } from "../../durable-objects/benchmark.ts";
import { figureNames, figureOf, type Measurement } from "../../src/benchmark/figures.ts";
import { BenchmarkUnavailable, createBenchmarks } from "../../src/benchmark/object.ts";
import { benchmarkTenant } from "../../src/benchmark/target.ts";
import * as limits from "../../src/limits.ts";
import { createServices } from "../../src/services.ts";
import { newTenant, ownerSql } from "../support/tenant.ts";

const benchmarks = createBenchmarks(env.BENCHMARK);
const sql = ownerSql();

/** Of the benchmarks' tenant: its records, tokens and keys. */
async function traces() {
	const reader = createServices(env).auditReader;
	const { heads } = await reader.headsOf(benchmarkTenant);
	const records = heads.reduce((sum, { sequence }) => sum + sequence, 0);
	const tokens = await sql.query(
		"select role, key_patterns, created_by from tokens where tenant_id = $1",
		[benchmarkTenant],
	);
	const keys = await sql.query("select name from keys where tenant_id = $1", [benchmarkTenant]);
	return { records, tokens, keys };
}

/** The longest that one takes, and more. */
const runMs = limits.benchmarkTimeoutMs;
let measurement: Measurement;
beforeAll(async () => {
	measurement = await benchmarks.measure();
}, runMs);

describe("the object that measures", { timeout: 3 * runMs }, () => {
	it("finds every figure of the service as it is", () => {
		expect(measurement.unreachable).toEqual([]);
		for (const name of figureNames)
			expect(figureOf(measurement.figures, name), name).not.toBeNull();
		expect(measurement.figures.throughputRps).toBeGreaterThan(0);
		expect(measurement.figures.partsMs.postgres).toBeGreaterThan(0);
	});

	it("measures once, whoever asks meanwhile, and anew for who asks afterwards", async () => {
		const before = await traces();
		const object = (env.BENCHMARK as DurableObjectNamespace<Benchmark>).getByName("service");
		const answers = await Promise.all(Array.from({ length: 5 }, () => object.measure()));
		for (const answer of answers) expect(answer).toEqual(answers[0]);
		const { records } = await traces();
		// On a busy machine there is no time for all of its rounds.
		const ofOne = limits.benchmarkRounds * limits.benchmarkRequests + 1;
		expect(records).toBeGreaterThan(before.records);
		expect(records).toBeLessThanOrEqual(before.records + ofOne);
		await benchmarks.measure();
		const after = await traces();
		expect(after.records).toBeGreaterThan(records);
		expect(after.records).toBeLessThanOrEqual(records + ofOne);
	});

	it("works as a tenant of its own, with a token for one key, and makes neither twice", async () => {
		const { tokens, keys } = await traces();
		expect(tokens).toEqual([{ role: "admin", key_patterns: ["benchmark"], created_by: null }]);
		expect(keys).toEqual([{ name: "benchmark" }]);
	});

	it("leaves no record with the tenant that asks, but that it asked", async () => {
		const tenant = await newTenant();
		const answer = await tenant.call("POST", "/v1/benchmarks/run");
		expect(answer.status).toBe(200);
		const log = await tenant.call("GET", "/v1/audit");
		expect(log.json.records).toMatchObject([
			{ action: "runBenchmark", target: { id: answer.json.run.id }, outcome: "ok" },
		]);
	});

	it("says so when it does not answer", async () => {
		const broken = { getByName: () => ({ measure: () => Promise.reject(new Error("away")) }) };
		const none = createBenchmarks(broken as unknown as DurableObjectNamespace);
		await expect(none.measure()).rejects.toThrow(BenchmarkUnavailable);
	});
});

describe("the requests that the service makes of itself", () => {
	const request = { method: "GET", path: "/healthz", headers: {}, body: null } as const;

	it("go through the routes, as those from outside do", async () => {
		const answer = await exports.Probe.answer(request);
		expect(answer).toEqual({ status: 200, text: JSON.stringify({ status: "ok" }) });
		const refused = await exports.Probe.repeat({ ...request, path: "/v1/keys" }, 5, 1);
		expect(refused).toMatchObject({ status: 401 });
	});

	it("have no address: no path of the service leads to them", async () => {
		for (const path of ["/Probe", "/probe", "/repeat", "/v1/probe"]) {
			const answer = await exports.default.fetch(`https://edgesign.test${path}`);
			expect(answer.status).toBe(404);
		}
	});
});

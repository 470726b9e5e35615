import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BenchmarkUnavailable } from "../../src/benchmark/object.ts";
import { runBenchmark } from "../../src/routes/benchmarks.ts";
import { serve } from "../../src/routes/serve.ts";
import { createServices } from "../../src/services.ts";
import { expectProblem } from "../support/answers.ts";
import { inBackground } from "../support/background.ts";
import { type Answer, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

const sql = ownerSql();
let tenant: Tenant;
beforeEach(async () => {
	tenant = await newTenant();
});

/** Runs a minute apart, the oldest first, whose Redis took so many milliseconds; their ids. */
async function store(of: Tenant, redisMs: readonly number[]): Promise<string[]> {
	const ids = redisMs.map((_, index) => {
		const number = String(index + 1).padStart(12, "0");
		return `01900000-0000-7000-8000-${number}`;
	});
	await sql.query(
		`insert into benchmark_runs (tenant_id, id, origin, at, figures, unreachable)
		select $1, n.id, 'schedule', now() + n.nth * interval '1 minute',
			jsonb_build_object('partsMs', jsonb_build_object('redis', n.ms)), '{}'
		from unnest($2::uuid[], $3::float8[]) with ordinality n (id, ms, nth)`,
		[of.id, ids, redisMs],
	);
	return ids;
}

async function raise(of: Tenant, count: number, resolved: boolean): Promise<void> {
	await sql.query(
		`insert into alerts (tenant_id, id, rule, subject, value, threshold, bottleneck, advice, resolved_at)
		select $1, gen_random_uuid(), 'max_response_time_ms', 'figure ' || n, 200, 100, 'postgres', 'Look.', $3
		from generate_series(1, $2::int) n`,
		[of.id, count, resolved ? "2026-11-21T10:00:00Z" : null],
	);
}

describe("GET /v1/benchmarks", () => {
	it("has nothing for a tenant that never had a run", async () => {
		const { status, json } = await tenant.call("GET", "/v1/benchmarks");
		expect(status).toBe(200);
		expect(json).toMatchObject({ runs: [], nextCursor: null });
		const none = { runs: 0, latest: null, median: null, least: null, most: null, changes: [] };
		expect(json.trends).toHaveLength(9);
		for (const trend of json.trends) expect(trend).toMatchObject(none);
	});

	it("lists runs newest first, a page after the other, each once", async () => {
		const ids = await store(tenant, [1, 2, 3, 4, 5, 6, 7]);
		const seen: string[] = [];
		let path = "/v1/benchmarks?limit=3";
		for (let page = 1; page <= 3; page++) {
			const { json } = await tenant.call("GET", path);
			seen.push(...json.runs.map(({ id }: { id: string }) => id));
			path = `/v1/benchmarks?limit=3&cursor=${json.nextCursor}`;
			expect(json.nextCursor === null).toBe(page === 3);
		}
		expect(seen).toEqual(ids.toReversed());
	});

	it("shows figures that a run of an older release lacks as null", async () => {
		await store(tenant, [1.5]);
		const { json } = await tenant.call("GET", "/v1/benchmarks");
		expect(json.runs[0].figures).toEqual({
			responseMs: { sign: null, verify: null, getKey: null, getJwks: null },
			partsMs: { postgres: null, redis: 1.5, durableObject: null },
			throughputRps: null,
			memoryMb: null,
		});
	});

	it("says how each figure has gone, and where its level changed", async () => {
		const level = (ms: number, count: number) =>
			Array.from({ length: count }, (_, index) => ms + 0.1 * (index % 3));
		const ids = await store(tenant, [...level(10, 20), ...level(30, 10)]);
		const { json } = await tenant.call("GET", "/v1/benchmarks?limit=1");
		const trend = json.trends.find((one: { figure: string }) => one.figure === "partsMs.redis");
		expect(trend).toMatchObject({ runs: 30, latest: 30, least: 10, most: 30.2 });
		expect(trend.changes).toMatchObject([{ run: ids[20], isWorse: true }]);
		expect(trend.changes[0].before).toBeCloseTo(10.1, 1);
		expect(trend.changes[0].after).toBeCloseTo(30.1, 1);
	});

	it("shows a tenant its own runs alone", async () => {
		await store(await newTenant(), [1]);
		expect((await tenant.call("GET", "/v1/benchmarks")).json.runs).toEqual([]);
	});

	it.each(["nonsense", "bm90IGFuIGlk"])("refuses the cursor %s", async (cursor) => {
		for (const path of ["/v1/benchmarks", "/v1/benchmarks/alerts"]) {
			expectProblem(await tenant.call("GET", `${path}?cursor=${cursor}`), 400, "invalid_cursor");
		}
	});
});

describe("GET /v1/benchmarks/alerts", () => {
	it("lists open and resolved ones a page after the other, or only those that are open", async () => {
		await raise(tenant, 3, false);
		await raise(tenant, 2, true);
		const first = await tenant.call("GET", "/v1/benchmarks/alerts?limit=3");
		const rest = await tenant.call(
			"GET",
			`/v1/benchmarks/alerts?limit=3&cursor=${first.json.nextCursor}`,
		);
		expect(first.json.alerts).toHaveLength(3);
		expect(rest.json).toMatchObject({ alerts: [{}, {}], nextCursor: null });
		const open = (await tenant.call("GET", "/v1/benchmarks/alerts?open=true")).json.alerts;
		expect(open).toHaveLength(3);
		for (const alert of open) expect(alert.resolvedAt).toBeNull();
	});

	it("shows a tenant its own alone", async () => {
		await raise(await newTenant(), 1, false);
		expect((await tenant.call("GET", "/v1/benchmarks/alerts")).json.alerts).toEqual([]);
	});
});

describe("POST /v1/benchmarks/run", () => {
	let shared: Tenant;
	beforeAll(async () => {
		shared = await newTenant();
	});
	const rulesOf = ({ json }: Answer) => json.alerts.map(({ rule }: { rule: string }) => rule);
	const configure = (thresholds: object) =>
		shared.call("PUT", "/v1/config?fence=true", {
			json: { benchmarking_config: { performance_thresholds: thresholds } },
		});

	it("holds the run against the thresholds that the tenant has now", async () => {
		await configure({ min_throughput_rps: 1_000_000 });
		const crossed = await shared.call("POST", "/v1/benchmarks/run");
		expect(crossed.status).toBe(200);
		expect(rulesOf(crossed)).toContain("min_throughput_rps");
		await configure({ min_throughput_rps: 1, max_response_time_ms: 60_000 });
		const kept = await shared.call("POST", "/v1/benchmarks/run");
		expect(rulesOf(kept)).not.toContain("min_throughput_rps");
		const { json } = await shared.call("GET", "/v1/benchmarks");
		expect(json.runs).toEqual([kept.json.run, crossed.json.run]);
	}, 120_000);

	it("with an Idempotency-Key makes one run, and answers it again", async () => {
		const headers = { "Idempotency-Key": '"one"' };
		const first = await tenant.call("POST", "/v1/benchmarks/run", { headers });
		const second = await tenant.call("POST", "/v1/benchmarks/run", { headers });
		expect(second.headers.get("idempotency-replayed")).toBe("true");
		expect(second.json).toEqual(first.json);
		expect((await tenant.call("GET", "/v1/benchmarks")).json.runs).toHaveLength(1);
	}, 60_000);

	it("costs about the requests that it makes, and is refused where that is more than there ever is", async () => {
		const manage = { quota: 200, window_seconds: 60 };
		await tenant.call("PUT", "/v1/config?fence=true", {
			json: { limits_config: { operations: { manage } } },
		});
		expectProblem(await tenant.call("POST", "/v1/benchmarks/run"), 422, "cost_above_limit");
	});

	it("is 503 where what measures does not answer, and stores nothing", async () => {
		const measure = () => Promise.reject(new BenchmarkUnavailable("away"));
		const services = { ...createServices(env), benchmarks: { measure } };
		const request = new Request("https://edgesign.test/v1/benchmarks/run", {
			method: "POST",
			headers: { Authorization: `Bearer ${await tenant.token("admin")}` },
		});
		const response = await serve(runBenchmark, services, request, {}, inBackground);
		expect(response.status).toBe(503);
		expect(await response.json()).toMatchObject({ code: "unavailable" });
		expect((await tenant.call("GET", "/v1/benchmarks")).json.runs).toEqual([]);
	});
});

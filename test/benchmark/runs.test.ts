import { beforeEach, describe, expect, it } from "vitest";
import type { Figures, Measurement } from "../../src/benchmark/figures.ts";
import { type RunServices, runDue, runNow } from "../../src/benchmark/runs.ts";
import { type TenantConfig, tenantConfig } from "../../src/config/schema.ts";
import { purgeOldBenchmarks } from "../../src/jobs/purge-benchmarks.ts";
import * as limits from "../../src/limits.ts";
import { type OwnSchema, ownSchema } from "../support/schema.ts";
import { usual, usualBut } from "./support.ts";

type Benchmarking = TenantConfig["benchmarking_config"];
type Settings = Partial<Omit<Benchmarking, "performance_thresholds">> & {
	readonly performance_thresholds?: Partial<Benchmarking["performance_thresholds"]>;
};

let schema: OwnSchema;
/** How often the service was measured, and what that finds. */
let measured: number;
let next: Measurement;
let services: RunServices;
beforeEach(async () => {
	schema = await ownSchema();
	measured = 0;
	next = { figures: usual, unreachable: [] };
	const measure = async () => {
		measured++;
		return next;
	};
	services = { ...schema.services, benchmarks: { measure } };
});

/** A new version of the tenant's configuration. */
async function configure(tenant: string, benchmarking_config: Settings): Promise<void> {
	const config = JSON.stringify(tenantConfig.parse({ benchmarking_config }));
	await schema.query(
		`insert into config_versions (tenant_id, version, config)
		select $1, 1 + coalesce(max(version), 0), $2::jsonb from config_versions where tenant_id = $1`,
		[tenant, config],
	);
}

/** As if the last turns had been so much earlier. */
const later = (seconds: number) =>
	schema.query("update benchmark_turns set begun_at = begun_at - make_interval(secs => $1)", [
		seconds,
	]);

const runs = async (tenant: string) =>
	(await schema.query("select id from benchmark_runs where tenant_id = $1", [tenant])).length;
const alerts = (tenant: string) =>
	schema.query(
		`select rule, subject, bottleneck, value, threshold, resolved_at is null as open from alerts
		where tenant_id = $1 order by id`,
		[tenant],
	);
const now = (figures: Figures) => {
	next = { figures, unreachable: [] };
	return runNow(services, "main");
};

describe("enable_benchmarks", () => {
	it("is off where nothing is set, and then nothing is measured", async () => {
		await configure("main", {});
		expect(await runDue(services)).toBe(0);
		expect(measured).toBe(0);
	});

	it("can be switched on and off while the service runs", async () => {
		await configure("main", { enable_benchmarks: true });
		expect(await runDue(services)).toBe(1);
		await configure("main", { enable_benchmarks: false });
		await later(86_400);
		expect(await runDue(services)).toBe(0);
		await configure("main", { enable_benchmarks: true });
		expect(await runDue(services)).toBe(1);
		expect(await runs("main")).toBe(2);
	});

	it("does not keep an admin from asking for a run", async () => {
		expect((await now(usual)).origin).toBe("request");
		expect(await runs("main")).toBe(1);
	});
});

describe("benchmark_interval_seconds", () => {
	it("lies between two runs, give or take what a cron tick may be early", async () => {
		await configure("main", { enable_benchmarks: true, benchmark_interval_seconds: 300 });
		expect(await runDue(services)).toBe(1);
		await later(300 - limits.benchmarkSlackSeconds - 60);
		expect(await runDue(services)).toBe(0);
		await later(65);
		expect(await runDue(services)).toBe(1);
	});

	it("counts from the last run also when it is made shorter or longer", async () => {
		await configure("main", { enable_benchmarks: true, benchmark_interval_seconds: 86_400 });
		expect(await runDue(services)).toBe(1);
		await later(3_000);
		expect(await runDue(services)).toBe(0);
		await configure("main", { enable_benchmarks: true, benchmark_interval_seconds: 60 });
		expect(await runDue(services)).toBe(1);
		await configure("main", { enable_benchmarks: true, benchmark_interval_seconds: 600 });
		await later(400);
		expect(await runDue(services)).toBe(0);
	});

	it("is not moved by runs that were asked for", async () => {
		await configure("main", { enable_benchmarks: true });
		await now(usual);
		expect(await runDue(services)).toBe(1);
	});
});

describe("a tick", () => {
	it("measures once for all tenants that are due", async () => {
		for (const tenant of ["main", "other", "third"]) {
			await configure(tenant, { enable_benchmarks: true });
		}
		expect(await runDue(services)).toBe(3);
		expect(measured).toBe(1);
		expect([await runs("main"), await runs("other"), await runs("third")]).toEqual([1, 1, 1]);
	});

	it("gives each tenant one run, however many isolates run it at the same time", async () => {
		const tenants = Array.from({ length: 5 }, (_, index) => `tenant-${index}`);
		for (const tenant of tenants) await configure(tenant, { enable_benchmarks: true });
		for (const round of [1, 2]) {
			const counts = await Promise.all(Array.from({ length: 8 }, () => runDue(services)));
			expect(counts.reduce((sum, count) => sum + count, 0)).toBe(tenants.length);
			for (const tenant of tenants) expect(await runs(tenant)).toBe(round);
			await later(300);
		}
	});

	it("takes no more tenants than it has time for, and the others next time", async () => {
		await schema.query(
			`insert into config_versions (tenant_id, version, config)
			select 't-' || n, 1, $1::jsonb from generate_series(1, $2::int) n`,
			[
				JSON.stringify(tenantConfig.parse({ benchmarking_config: { enable_benchmarks: true } })),
				limits.benchmarkTenantsPerRun + 3,
			],
		);
		expect(await runDue(services)).toBe(limits.benchmarkTenantsPerRun);
		expect(await runDue(services)).toBe(3);
		expect(await runDue(services)).toBe(0);
	});

	it("goes on with the others where one tenant's configuration can not be read", async () => {
		await configure("aaa", { enable_benchmarks: true });
		await schema.query(
			"update config_versions set config = jsonb_set(config, '{limits_config}', '1')",
		);
		await configure("main", { enable_benchmarks: true });
		await expect(runDue(services)).rejects.toThrow("limits_config");
		expect([await runs("aaa"), await runs("main")]).toEqual([0, 1]);
	});
});

describe("an alert", () => {
	const slow = usualBut({ responseMs: { getKey: 403 }, partsMs: { postgres: 402 } });

	it("is raised once while its condition lasts, names the part, and is resolved when it ends", async () => {
		await now(usual);
		expect(await alerts("main")).toEqual([]);
		for (let i = 0; i < 3; i++) await now(slow);
		const raised = {
			rule: "max_response_time_ms",
			subject: "responseMs.getKey",
			bottleneck: "postgres",
			value: 403,
			threshold: 100,
		};
		expect(await alerts("main")).toEqual([{ ...raised, open: true }]);
		await now(usual);
		expect(await alerts("main")).toEqual([{ ...raised, open: false }]);
		await now(slow);
		expect((await alerts("main")).map(({ open }) => open)).toEqual([false, true]);
	});

	it("is raised once also by runs at the same time", async () => {
		next = { figures: slow, unreachable: [] };
		await Promise.all(Array.from({ length: 6 }, () => runNow(services, "main")));
		expect(await alerts("main")).toHaveLength(1);
	});

	it("is neither raised nor resolved by a run that had no time for the figure", async () => {
		await now(slow);
		await now(usualBut({ responseMs: { getKey: null } }));
		expect((await alerts("main")).map(({ open }) => open)).toEqual([true]);
	});

	it("tells what does not answer, until it does", async () => {
		const figures = usualBut({ partsMs: { redis: null } });
		next = { figures, unreachable: ["partsMs.redis"] };
		await runNow(services, "main");
		const [alert] = await alerts("main");
		expect(alert).toMatchObject({
			rule: "unreachable",
			bottleneck: "redis",
			value: null,
			open: true,
		});
		await now(usual);
		expect((await alerts("main")).map(({ open }) => open)).toEqual([false]);
	});

	it.each([
		["max_response_time_ms", { max_response_time_ms: 5 }, { max_response_time_ms: 6 }],
		["max_memory_usage_mb", { max_memory_usage_mb: 1 }, { max_memory_usage_mb: 2 }],
		["min_throughput_rps", { min_throughput_rps: 4001 }, { min_throughput_rps: 4000 }],
	])("follows %s as the configuration has it now", async (rule, strict, loose) => {
		await configure("main", { enable_benchmarks: true, performance_thresholds: strict });
		await runDue(services);
		expect(await alerts("main")).toMatchObject([{ rule, open: true }]);
		await configure("main", { enable_benchmarks: true, performance_thresholds: loose });
		await later(300);
		await runDue(services);
		expect(await alerts("main")).toMatchObject([{ rule, open: false }]);
	});

	it("comes of the history too, of each tenant its own", async () => {
		const repeated = async (tenant: string, redis: number, count: number) => {
			for (let run = 0; run < count; run++) {
				const figures = usualBut({ partsMs: { redis: redis + 0.2 * (run % 3) } });
				next = { figures, unreachable: [] };
				await runNow(services, tenant);
			}
		};
		await repeated("main", 10, 12);
		await repeated("main", 30, 8);
		await repeated("other", 30, 20);
		expect(await alerts("main")).toMatchObject([
			{ rule: "regression", subject: "partsMs.redis", bottleneck: "redis", open: true },
		]);
		expect(await alerts("other")).toEqual([]);
	});
});

describe("old runs and alerts", () => {
	it("are purged after 30 days, but for alerts that are open", async () => {
		const slow = usualBut({ responseMs: { getKey: 403 } });
		await now(slow);
		await now(usual);
		await now(slow);
		await schema.query("update benchmark_runs set at = at - interval '31 days'");
		await schema.query(
			"update alerts set raised_at = raised_at - interval '31 days', resolved_at = resolved_at - interval '31 days'",
		);
		await now(slow);
		expect(await purgeOldBenchmarks(services)).toBe(4);
		expect(await runs("main")).toBe(1);
		expect((await alerts("main")).map(({ open }) => open)).toEqual([true]);
		expect(await purgeOldBenchmarks(services)).toBe(0);
	});
});

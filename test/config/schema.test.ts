import { describe, expect, it } from "vitest";
import { defaultConfig, storedConfig, tenantConfig } from "../../src/config/schema.ts";

const limitsOf = (config: unknown) => tenantConfig.safeParse({ limits_config: config });

describe("the default configuration", () => {
	it("has the values that were asked for, field by field", () => {
		const { performance_config, scaling_config, benchmarking_config } = defaultConfig;
		expect(performance_config).toStrictEqual({
			enable_performance_mode: false,
			memory_optimization: true,
			cache_optimization: true,
		});
		expect(scaling_config).toStrictEqual({
			enable_horizontal_scaling: false,
			worker_processes: 1,
			shared_memory_size: "64m",
			coordinator_shards: 1,
			audit_shards: 1,
		});
		expect(benchmarking_config).toStrictEqual({
			enable_benchmarks: false,
			benchmark_interval_seconds: 300,
			performance_thresholds: {
				max_response_time_ms: 100,
				max_memory_usage_mb: 128,
				min_throughput_rps: 1000,
			},
		});
	});

	it("is what an empty one comes to, and what empty parts come to", () => {
		expect(tenantConfig.parse({})).toStrictEqual(defaultConfig);
		const parts = Object.fromEntries(Object.keys(defaultConfig).map((name) => [name, {}]));
		expect(tenantConfig.parse(parts)).toStrictEqual(defaultConfig);
	});

	it("is itself a configuration, to be sent back as it was read", () => {
		expect(tenantConfig.parse(JSON.parse(JSON.stringify(defaultConfig)))).toStrictEqual(
			defaultConfig,
		);
	});

	it("is not shared between those who read it", () => {
		const mine = tenantConfig.parse({});
		mine.limits_config.tenant.quota = 1;
		expect(tenantConfig.parse({}).limits_config.tenant.quota).toBe(6_000_000);
	});
});

describe("a quota", () => {
	it.each([1, 10_000_000])("may be %s", (quota) => {
		expect(limitsOf({ roles: { signer: { quota, window_seconds: 1 } } }).success).toBe(true);
	});

	it.each([0, -1, 1.5, 10_000_001, "5", null, Number.NaN])("may not be %s", (quota) => {
		expect(limitsOf({ roles: { signer: { quota, window_seconds: 1 } } }).success).toBe(false);
	});

	it("of an operation or a role may be more than the tenant's, and may be none at all", () => {
		const tenant = { quota: 2, window_seconds: 3600 };
		const more = { quota: 1000, window_seconds: 1 };
		const config = { tenant, operations: { sign: more, list: null }, roles: { admin: more } };
		expect(limitsOf(config).data?.limits_config).toMatchObject(config);
	});

	it("of the tenant can not be taken away", () => {
		expect(limitsOf({ tenant: null }).success).toBe(false);
	});
});

describe("limits that would shut the admin out", () => {
	const rules = (
		config: { operations?: object; roles?: object; tenant?: object; reserve_percent?: number },
		shards: number,
	) =>
		tenantConfig.safeParse({
			limits_config: config,
			scaling_config: { coordinator_shards: shards },
		}).success;
	const quotaOf = (quota: number) => ({ quota, window_seconds: 1 });

	it.each([
		[1, 0, 1],
		[1, 20, 2],
		[1, 90, 10],
		[4, 20, 5],
		[16, 0, 16],
		[16, 90, 160],
	])("with %s shards and %s %% reserved are those below %s", (shards, reserve_percent, least) => {
		for (const [quota, allowed] of [
			[least, true],
			[least - 1, false],
		] as const) {
			expect(rules({ tenant: quotaOf(quota), reserve_percent }, shards)).toBe(allowed);
			expect(rules({ roles: { admin: quotaOf(quota) }, reserve_percent }, shards)).toBe(allowed);
		}
	});

	it("leave every shard one operation beyond the reserve, to the hundredth that shares are made of", () => {
		for (let shards = 1; shards <= 16; shards++) {
			for (let reserve = 0; reserve <= 90; reserve++) {
				let least = 1;
				while (!rules({ tenant: quotaOf(least), reserve_percent: reserve }, shards)) least++;
				const part = Math.floor((least * 100) / shards);
				expect(part - Math.floor((part * reserve) / 100)).toBeGreaterThanOrEqual(100);
			}
		}
	});

	it("are also those of the operation, from which nothing is reserved", () => {
		expect(rules({ operations: { manage: quotaOf(15) } }, 16)).toBe(false);
		expect(rules({ operations: { manage: quotaOf(16) }, reserve_percent: 90 }, 16)).toBe(true);
		expect(rules({ operations: { manage: null } }, 16)).toBe(true);
	});

	it("are not those of other operations and roles", () => {
		const others = { operations: { sign: quotaOf(1) }, roles: { signer: quotaOf(1) } };
		expect(rules(others, 16)).toBe(true);
	});
});

describe("a configuration that was stored by another release", () => {
	it("has the defaults of fields that are younger than it", () => {
		const old = { performance_config: { enable_performance_mode: true } };
		expect(storedConfig.parse(old)).toStrictEqual({
			...defaultConfig,
			performance_config: { ...defaultConfig.performance_config, enable_performance_mode: true },
		});
	});

	it("loses the fields that only a newer release knows, at every depth", () => {
		const newer = {
			...defaultConfig,
			console_config: {},
			scaling_config: { ...defaultConfig.scaling_config, regions: ["eu"] },
			limits_config: {
				...defaultConfig.limits_config,
				tenant: { quota: 5, window_seconds: 1, burst: 9 },
			},
		};
		expect(storedConfig.parse(newer)).toStrictEqual({
			...defaultConfig,
			limits_config: {
				...defaultConfig.limits_config,
				tenant: { quota: 5, window_seconds: 1 },
			},
		});
		expect(tenantConfig.safeParse(newer).success).toBe(false);
	});

	it("is refused where it breaks a bound, rather than taken for something else", () => {
		expect(storedConfig.safeParse({ limits_config: { reserve_percent: 91 } }).success).toBe(false);
	});
});

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

describe("limits that are of no use", () => {
	/** The messages, by their fields. */
	const refusals = (limits_config: object, coordinator_shards: number) => {
		const config = { limits_config, scaling_config: { coordinator_shards } };
		const { issues = [] } = tenantConfig.safeParse(config).error ?? {};
		return Object.fromEntries(issues.map(({ path, message }) => [path.join("."), message]));
	};
	const quotaOf = (quota: number) => ({ quota, window_seconds: 1 });

	it.each([1, 2, 16])("with %s shards are those that shut the admin out", (shards) => {
		for (const [name, least] of [
			["configure", 10 * shards],
			["revoke", shards],
		] as const) {
			expect(refusals({ operations: { [name]: quotaOf(least) } }, shards)).toEqual({});
			if (least === 1) continue;
			const refused = refusals({ operations: { [name]: quotaOf(least - 1) } }, shards);
			expect(Object.keys(refused)).toEqual([`limits_config.operations.${name}.quota`]);
			expect(Object.values(refused)[0]).toContain(`${least} at least`);
		}
	});

	it("are none at all for configuring, which would leave it to the limits that it is to change", () => {
		expect(limitsOf({ operations: { configure: null } }).success).toBe(false);
	});

	it("are not those of the tenant, whatever they are: they can be changed back", () => {
		const small = { tenant: quotaOf(1), roles: { admin: quotaOf(1) }, reserve_percent: 90 };
		expect(refusals(small, 1)).toEqual({});
	});

	it.each([
		["tenant", (quota: object) => ({ tenant: quota })],
		["roles.admin", (quota: object) => ({ roles: { admin: quota } })],
		["roles.signer", (quota: object) => ({ roles: { signer: quota } })],
		["operations.sign", (quota: object) => ({ operations: { sign: quota } })],
		["operations.manage", (quota: object) => ({ operations: { manage: quota } })],
	] as const)("with shards are those of %s under a thousand each", (path, limitsWith) => {
		for (const shards of [2, 16]) {
			const least = 1000 * shards;
			expect(refusals(limitsWith(quotaOf(least)), shards)).toEqual({});
			const refused = refusals(limitsWith(quotaOf(least - 1)), shards);
			expect(Object.keys(refused)).toEqual([`limits_config.${path}.quota`]);
			expect(Object.values(refused)[0]).toContain(`${least} at least`);
		}
		expect(refusals(limitsWith(quotaOf(1)), 1)).toEqual({});
	});

	it("are named all at once", () => {
		const limits_config = { tenant: quotaOf(1), operations: { sign: quotaOf(1), list: null } };
		expect(Object.keys(refusals(limits_config, 2))).toEqual([
			"limits_config.tenant.quota",
			"limits_config.operations.sign.quota",
		]);
	});

	it("are not the defaults, in however many shards", () => {
		for (let shards = 1; shards <= 16; shards++) expect(refusals({}, shards)).toEqual({});
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

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultConfig, type TenantConfig } from "../../src/config/schema.ts";
import * as limits from "../../src/limits.ts";
import { roles } from "../../src/model.ts";
import {
	type BucketRule,
	laneOf,
	mayTakeReserve,
	type Operation,
	operations,
	rulesFor,
	tokenParts,
} from "../../src/ratelimit/policy.ts";

const whole = { index: 0, count: 1 };
const everyOperation = Object.keys(operations) as Operation[];

/** The default configuration with other limits. */
function configWith(changes: Partial<TenantConfig["limits_config"]>): TenantConfig {
	return { ...defaultConfig, limits_config: { ...defaultConfig.limits_config, ...changes } };
}

const ids = (rules: readonly BucketRule[]) => rules.map(({ id }) => id);
const quota = (count: number, seconds = 60) => ({ quota: count, window_seconds: seconds });
const token = { id: "token-1", quota: 7, windowSeconds: 3 };

describe("the buckets of a lane", () => {
	it("are those of its operation and of the tenant", () => {
		expect(ids(rulesFor(laneOf("sign", "signer", null), defaultConfig, whole))).toEqual([
			"sign",
			"tenant",
		]);
	});

	it("are also those of its role and of its token, where these have limits", () => {
		const config = configWith({
			roles: { ...defaultConfig.limits_config.roles, signer: quota(5) },
		});
		expect(ids(rulesFor(laneOf("sign", "signer", token), config, whole))).toEqual([
			"sign",
			"tenant",
			"role signer",
			"token token-1",
		]);
		expect(ids(rulesFor(laneOf("sign", "admin", null), config, whole))).toEqual(["sign", "tenant"]);
	});

	it("count in hundredths, in the window that the limit names", () => {
		const config = configWith({ tenant: quota(40, 10) });
		const rules = rulesFor(laneOf("read", "auditor", token), config, whole);
		const policies = Object.fromEntries(rules.map(({ name, policy }) => [name, policy]));
		expect(policies.tenant).toEqual({ quota: 40 * tokenParts, windowMs: 10_000 });
		expect(policies.token).toEqual({ quota: 7 * tokenParts, windowMs: 3_000 });
	});

	it.each(["revoke", "configure"] as const)(
		"of %s are its own alone: what else the tenant does can not use them up",
		(apart) => {
			const lane = laneOf(apart, "admin", token);
			const config = configWith({
				roles: { ...defaultConfig.limits_config.roles, admin: quota(5) },
			});
			expect(ids(rulesFor(lane, config, whole))).toEqual([apart]);
			for (const operation of everyOperation) {
				if (operation === apart) continue;
				const others = rulesFor(laneOf(operation, "admin", token), config, whole);
				expect(ids(others)).not.toContain(apart);
			}
		},
	);

	it("of a revocation are the shared ones when it has none of its own: never none at all", () => {
		const config = configWith({
			operations: { ...defaultConfig.limits_config.operations, revoke: null },
		});
		const rules = rulesFor(laneOf("revoke", "admin", token), config, whole);
		expect(ids(rules)).toEqual(["tenant", "token token-1"]);
	});

	it("always hold the tenant's limit, but for a revocation and a change of the limits", () => {
		for (const operation of everyOperation) {
			for (const role of roles) {
				const rules = rulesFor(laneOf(operation, role, null), defaultConfig, whole);
				const isApart = operation === "revoke" || operation === "configure";
				expect(ids(rules)).toContain(isApart ? operation : "tenant");
			}
		}
	});
});

describe("a lane", () => {
	it("is another for each operation, role and token", () => {
		const lanes = everyOperation.flatMap((operation) =>
			roles.flatMap((role) => [laneOf(operation, role, null), laneOf(operation, role, token)]),
		);
		expect(new Set(lanes.map(({ id }) => id)).size).toBe(lanes.length);
	});

	it.each(everyOperation)("of %s may take the reserve only if it is critical", (operation) => {
		const isCritical = ["sign", "revoke", "configure"].includes(operation);
		expect(mayTakeReserve(laneOf(operation, "admin", null))).toBe(isCritical);
	});
});

describe("the reserve", () => {
	it("is kept in buckets that critical operations share with others, and nowhere else", () => {
		const config = configWith({
			reserve_percent: 25,
			tenant: quota(10),
			roles: { ...defaultConfig.limits_config.roles, admin: quota(8) },
		});
		const rules = rulesFor(laneOf("manage", "admin", token), config, whole);
		const reserves = Object.fromEntries(rules.map(({ name, reserve }) => [name, reserve]));
		expect(reserves).toEqual({ manage: 0, tenant: 250, admin: 200, token: 175 });
	});

	it("leaves something for others, and never more than the percentage away", () => {
		fc.assert(
			fc.property(
				fc.integer({ min: 1, max: limits.quotaMax }),
				fc.integer({ min: 0, max: 90 }),
				fc.integer({ min: 1, max: limits.coordinatorShardsMax }),
				(count, percent, shards) => {
					const config = configWith({ tenant: quota(count), reserve_percent: percent });
					const shard = { index: shards - 1, count: shards };
					const [, tenant] = rulesFor(laneOf("list", "admin", null), config, shard);
					const { reserve = -1, policy = { quota: 0 } } = tenant ?? {};
					expect(Number.isInteger(reserve)).toBe(true);
					expect(reserve * 100).toBeLessThanOrEqual(policy.quota * percent);
					expect(policy.quota - reserve).toBeGreaterThan(0);
				},
			),
		);
	});
});

describe("the parts of shards", () => {
	it("are together the whole to the hundredth, and differ by a hundredth at most", () => {
		fc.assert(
			fc.property(
				fc.integer({ min: 1, max: limits.quotaMax }),
				fc.integer({ min: 1, max: limits.quotaWindowSecondsMax }),
				fc.integer({ min: 1, max: limits.coordinatorShardsMax }),
				(count, seconds, shards) => {
					const config = configWith({ tenant: quota(count, seconds) });
					const parts = Array.from({ length: shards }, (_, index) => {
						const rules = rulesFor(laneOf("sign", "signer", null), config, {
							index,
							count: shards,
						});
						const [, tenant] = rules;
						if (tenant?.id !== "tenant") throw new Error("the second bucket is not the tenant's");
						expect(tenant.policy.windowMs).toBe(seconds * 1000);
						return tenant.policy.quota;
					});
					expect(parts.reduce((sum, part) => sum + part, 0)).toBe(count * tokenParts);
					expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1);
					expect(Math.min(...parts)).toBeGreaterThan(0);
				},
			),
		);
	});
});

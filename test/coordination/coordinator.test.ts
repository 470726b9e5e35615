import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Coordinator } from "../../src/index.ts";
import * as limits from "../../src/limits.ts";
import type { LaneAsk, LeaseAnswer, LeaseAsk } from "../../src/ratelimit/messages.ts";
import { laneOf } from "../../src/ratelimit/policy.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

function coordinator(name: string) {
	return env.COORDINATOR.getByName(name) as unknown as DurableObjectStub<Coordinator>;
}

const lane = laneOf("sign", "signer", null);

const newHolder = { holder: "00000000", configVersion: -1, epoch: 0, number: 1, isComplete: true };

function laneAsk(fields: Partial<LaneAsk> = {}): LaneAsk {
	return { lane, generation: 1, need: 0, want: 0, held: 0, done: 0, returned: 0, ...fields };
}

async function ask(
	tenant: Tenant,
	fields: Partial<LaneAsk>,
	shard = 0,
	told: Partial<LeaseAsk> = {},
) {
	const name = shard === 0 ? tenant.id : `${tenant.id}#${shard}`;
	const question = { ...newHolder, ...told, lanes: [laneAsk(fields)] };
	return leased(await coordinator(name).lease(tenant.id, shard, question));
}

function leased(answer: LeaseAnswer) {
	if (answer.kind !== "lease") throw new Error(answer.kind);
	return answer;
}

async function configure(tenant: Tenant, json: unknown): Promise<void> {
	const answer = await tenant.call("PUT", "/v1/config", { json });
	expect(answer.status, answer.text).toBe(200);
}

const slow = { quota: 100, window_seconds: 3600 };

describe("a coordinator", () => {
	it("knows no tenant that does not exist, and stores nothing for it", async () => {
		const stub = coordinator("nobody");
		const question = { ...newHolder, lanes: [laneAsk({ need: 100 })] };
		expect(await stub.lease("nobody", 0, question)).toEqual({ kind: "unknown_tenant" });
		const tables = await runInDurableObject(stub, (_, { storage }) =>
			storage.sql.exec("select name from sqlite_master").toArray(),
		);
		expect(tables).toEqual([]);
	});

	it.each(["", "#1"])(
		"of which a statement fails begins a new life, and goes on from what is stored%s",
		async (shard) => {
			const tenant = await newTenant();
			const number = shard === "" ? 0 : 1;
			await ask(tenant, { want: 100 }, number);
			await runInDurableObject(coordinator(tenant.id + shard), (_, { storage }) => {
				for (const table of ["buckets", "changes", "kept"]) storage.sql.exec(`drop table ${table}`);
			});
			await expect(ask(tenant, { want: 100 }, number, { number: 2 })).rejects.toThrow(
				"no such table",
			);
			const { lanes } = await ask(tenant, { want: 100 }, number, { number: 3 });
			expect(lanes[0]?.granted).toBeGreaterThanOrEqual(100);
		},
	);

	// An eviction waits for what the object has begun, its time-outs included.
	it("has its buckets and its epoch again after it was evicted", { timeout: 20_000 }, async () => {
		const tenant = await newTenant();
		await configure(tenant, { limits_config: { operations: { sign: slow } } });
		const first = await ask(tenant, { want: 6_000 });
		expect(first.lanes[0]?.granted).toBe(6_000);
		await evictDurableObject(coordinator(tenant.id));
		const second = await ask(tenant, { want: 10_000 }, 0, { holder: "11111111" });
		expect(second.epoch).toBe(first.epoch);
		expect(second.configVersion).toBe(first.configVersion);
		// 40 tokens are left, and what an hour's bucket gains in a few seconds.
		expect(second.lanes[0]?.granted).toBeGreaterThanOrEqual(4_000);
		expect(second.lanes[0]?.granted).toBeLessThan(4_100);
	});

	it("has buckets that fill after the clock was set back", { timeout: 30_000 }, async () => {
		const tenant = await newTenant();
		const sign = { quota: 10, window_seconds: 1 };
		await configure(tenant, { limits_config: { operations: { sign } } });
		expect((await ask(tenant, { want: 1_000 })).lanes[0]?.granted).toBe(1_000);
		await runInDurableObject(coordinator(tenant.id), (_, { storage }) => {
			const hour = 3_600_000;
			storage.sql.exec("update buckets set at = at + ?", hour);
			storage.sql.exec("update kept set value = value + ? where name = 'lastLeaseAt'", hour);
		});
		await evictDurableObject(coordinator(tenant.id));
		let number = 0;
		const another = async () => {
			const told = { holder: "11111111", number: ++number };
			return (await ask(tenant, { need: 100 }, 0, told)).lanes[0]?.granted;
		};
		expect(await another()).toBe(0); // of it is held, as far as anybody knows
		await expect.poll(another, { timeout: 20_000, interval: 200 }).toBeGreaterThanOrEqual(100);
		// Nor is the time lost in which it sleeps: of what it lent nothing can be spent any more after it.
		await evictDurableObject(coordinator(tenant.id));
		await scheduler.wait(limits.leaseTtlMs + limits.leaseGraceMs + 1_000);
		expect(await another()).toBeGreaterThanOrEqual(100);
	});

	it("sends the configuration to whoever has another one, and to nobody else", async () => {
		const tenant = await newTenant();
		const { config, configVersion } = await ask(tenant, {});
		expect(config?.limits_config.reserve_percent).toBe(20);
		const known = { ...newHolder, configVersion, lanes: [] };
		expect(leased(await coordinator(tenant.id).lease(tenant.id, 0, known)).config).toBeNull();
		await configure(tenant, { limits_config: { reserve_percent: 30 } });
		const news = leased(await coordinator(tenant.id).lease(tenant.id, 0, known));
		expect(news.config?.limits_config.reserve_percent).toBe(30);
		expect(news.configVersion).toBe(configVersion + 1);
	});

	it("lasts for a lease and no longer", async () => {
		const tenant = await newTenant();
		expect((await ask(tenant, {})).ttlMs).toBe(limits.leaseTtlMs);
	});
});

describe("a coordinator in shards", () => {
	const two = {
		limits_config: { operations: { sign: { ...slow, quota: 2_000 } } },
		scaling_config: { coordinator_shards: 2 },
	};

	it("has one epoch and one configuration for all, and a lease of each ends with the first's", async () => {
		const tenant = await newTenant();
		await configure(tenant, two);
		const [first, second] = [await ask(tenant, {}, 0), await ask(tenant, {}, 1)];
		expect(second.epoch).toBe(first.epoch);
		expect(second.configVersion).toBe(first.configVersion);
		expect(second.ttlMs).toBeLessThanOrEqual(limits.leaseTtlMs);
		// Where the answer took as long as a lease there is nothing left of it.
		await expect.poll(async () => (await ask(tenant, {}, 1)).ttlMs).toBeGreaterThan(0);
	});

	it("lends for less where the first one took its time to answer", async () => {
		const tenant = await newTenant();
		await configure(tenant, two);
		const tookMs = 1_000;
		const rpc = {
			term: async (id: string, version: number) => {
				const answer = await coordinator(id).term(id, version);
				await scheduler.wait(tookMs);
				return answer;
			},
		};
		const slowly = { ...env, COORDINATOR: { getByName: () => rpc } };
		const stub = coordinator(`${tenant.id}#1`);
		const set = (value: unknown) =>
			runInDurableObject(stub, (object) => {
				Object.defineProperty(object, "env", { value, configurable: true, writable: true });
			});
		await set(slowly);
		// An epoch that nobody has: what it may have borrowed already does not do.
		const { ttlMs } = await ask(tenant, {}, 1, { epoch: Number.MAX_SAFE_INTEGER });
		await set(env);
		expect(ttlMs).toBeLessThan(limits.leaseTtlMs - tookMs / 2);
	});

	it("has what another one lent last counted by a fence", async () => {
		const tenant = await newTenant();
		await configure(tenant, two);
		// It may have lent to this isolate, and would lend again what it has.
		await evictDurableObject(coordinator(`${tenant.id}#1`)).catch(() => {});
		await runInDurableObject(coordinator(tenant.id), (_, { storage }) => {
			storage.sql.exec("delete from kept where name = 'lastLeaseAt'");
		});
		const before = Date.now();
		await ask(tenant, {}, 1);
		const [counted] = await runInDurableObject(coordinator(tenant.id), (_, { storage }) =>
			storage.sql.exec("select value from kept where name = 'lastLeaseAt'").toArray(),
		);
		expect(Number(counted?.value)).toBeGreaterThanOrEqual(before);
	});

	it("hears of a new epoch within the life of a lease", async () => {
		const tenant = await newTenant();
		await configure(tenant, two);
		const before = await ask(tenant, {}, 1);
		await configure(tenant, { ...two, limits_config: { reserve_percent: 10 } });
		await scheduler.wait(limits.leaseTtlMs);
		const after = await ask(tenant, {}, 1);
		expect(after.epoch).toBeGreaterThan(before.epoch);
		expect(after.config?.limits_config.reserve_percent).toBe(10);
	});

	it("hears of it at once from an isolate that knows of it", async () => {
		const tenant = await newTenant();
		await configure(tenant, two);
		const { epoch } = await ask(tenant, {}, 1);
		await configure(tenant, { ...two, limits_config: { reserve_percent: 10 } });
		expect((await ask(tenant, {}, 1, { epoch: epoch + 1 })).epoch).toBe(epoch + 1);
	});

	it("divides the buckets: no shard has more than its part", async () => {
		const tenant = await newTenant();
		await configure(tenant, two);
		const [first, second] = [
			await ask(tenant, { want: 200_000 }, 0),
			await ask(tenant, { want: 200_000 }, 1),
		];
		expect(first.lanes[0]?.granted).toBe(100_000);
		expect(second.lanes[0]?.granted).toBe(100_000);
	});
});

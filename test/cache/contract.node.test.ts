import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "@upstash/redis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RedisGateway, startRedisGateway } from "../../local/redis.ts";
import { findRedisServer } from "../../local/redis-server.ts";
import { memoryStore } from "../../src/cache/memory.ts";
import { connectRedisStore, noCounts } from "../../src/cache/redis.ts";
import { sharedName } from "../../src/cache/shared.ts";
import type { Moment } from "../../src/cache/store.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import * as limits from "../../src/limits.ts";

/** What was true before a value was read from where it comes from. */
interface Before {
	readonly tenant: string;
	readonly epoch: number;
	readonly moment?: Moment;
}

/** A place that remembers values, as whoever reads through all of them uses it. */
interface Tier {
	before(tenant: string, epoch: number): Before;
	put(before: Before, name: string, value: string): Promise<void>;
	get(tenant: string, epoch: number, name: string): Promise<string | null>;
	/** Lets the time of an entry go by, which may not be longer than the tier says. */
	expire(tenant: string, epoch: number, name: string): Promise<void>;
	close?(): Promise<unknown>;
}

/** The isolate's memory: the lease that moves the epoch drops the tenant. */
async function memoryTier(): Promise<Tier> {
	let now = 1_000;
	const ttlMs = limits.cacheTtlMs;
	const bounds = { entries: 100, bytes: 200_000, ttlMs, renewMs: ttlMs, jitterPart: 0.1 };
	const store = memoryStore<string>(bounds, { clock: () => now, random: systemRandom });
	const epochs = new Map<string, number>();
	const reach = (tenant: string, epoch: number) => {
		if ((epochs.get(tenant) ?? epoch) !== epoch) store.dropTenant(tenant);
		epochs.set(tenant, epoch);
	};
	return {
		before(tenant, epoch) {
			reach(tenant, epoch);
			return { tenant, epoch, moment: store.now() };
		},
		async put({ tenant, moment = store.now() }, name, value) {
			store.set(tenant, name, value, value.length, moment);
		},
		async get(tenant, epoch, name) {
			reach(tenant, epoch);
			return store.get(tenant, name) ?? null;
		},
		async expire() {
			now += ttlMs;
		},
	};
}

/** What isolates share: the epoch is in the name. */
async function redisTier(dataDir: string, inProcess: boolean): Promise<Tier> {
	const token = "a-token-of-the-test";
	const gateway: RedisGateway = await startRedisGateway({
		...{ dataDir, token, redisUrl: "", inProcess },
	});
	const redis = new Redis({ url: gateway.url, token, enableTelemetry: false, retry: false });
	const config = {
		redis: { url: gateway.url, token },
		keyEncryptionKeys: [{ id: "k1", bytes: systemRandom(32) }] as const,
	};
	const store = connectRedisStore(config, systemClock, systemRandom, noCounts(), 20_000);
	return {
		before: (tenant, epoch) => ({ tenant, epoch }),
		put: ({ tenant, epoch }, name, value) =>
			store.write(tenant, epoch, [{ kind: "key", name, value }]),
		async get(tenant, epoch, name) {
			const [found] = await store.read(tenant, epoch, [{ kind: "key", name }]);
			return found ?? null;
		},
		async expire(tenant, epoch, name) {
			const whole = sharedName(tenant, epoch, { kind: "key", name });
			const seconds = await redis.ttl(whole);
			expect(seconds).toBeGreaterThan(0);
			expect(seconds).toBeLessThanOrEqual(limits.cacheSharedTtlSeconds);
			await redis.pexpire(whole, 0);
		},
		close: () => gateway.stop(),
	};
}

const tiers = [
	{ tier: "memory", open: memoryTier },
	{ tier: "Redis in process", open: (dataDir: string) => redisTier(dataDir, true) },
	...(findRedisServer()
		? [{ tier: "redis-server", open: (dataDir: string) => redisTier(dataDir, false) }]
		: []),
];

describe.each(tiers)("every store: $tier", ({ open }) => {
	let dataDir: string;
	let tier: Tier;
	beforeAll(async () => {
		dataDir = await mkdtemp(join(tmpdir(), "store-contract-"));
		tier = await open(dataDir);
	});
	afterAll(async () => {
		await tier?.close?.();
		await rm(dataDir, { recursive: true, force: true });
	});

	/** Each test has tenants of its own: what others left is of no account. */
	let tests = 0;
	const tenantsOf = () => [`t${++tests}`, `t${tests}x`] as const;

	it("answers what was put under this tenant and this name, and nothing else", async () => {
		const [tenant, other] = tenantsOf();
		const value = '{"name":"ä","text":"𝄞 \\u0000"}';
		await tier.put(tier.before(tenant, 7), "payments", value);
		expect(await tier.get(tenant, 7, "payments")).toBe(value);
		expect(await tier.get(other, 7, "payments")).toBeNull();
		for (const name of ["payment", "payments2", "Payments", "constructor", "__proto__"]) {
			expect(await tier.get(tenant, 7, name)).toBeNull();
		}
	});

	it("keeps tenants apart whose names join to the same text", async () => {
		const [tenant, other] = tenantsOf();
		await tier.put(tier.before(tenant, 7), "xkey", "1");
		expect(await tier.get(other, 7, "key")).toBeNull();
	});

	it("has the value that was put last", async () => {
		const [tenant] = tenantsOf();
		await tier.put(tier.before(tenant, 7), "key", "old");
		await tier.put(tier.before(tenant, 7), "key", "new");
		expect(await tier.get(tenant, 7, "key")).toBe("new");
	});

	it("has nothing of an epoch that is over", async () => {
		const [tenant, other] = tenantsOf();
		await tier.put(tier.before(tenant, 7), "key", "old");
		await tier.put(tier.before(other, 7), "key", "another's");
		expect(await tier.get(tenant, 8, "key")).toBeNull();
		expect(await tier.get(other, 7, "key")).toBe("another's");
	});

	it("does not take what was read before the epoch moved for what holds after it", async () => {
		const [tenant] = tenantsOf();
		const before = tier.before(tenant, 7);
		expect(await tier.get(tenant, 8, "key")).toBeNull();
		await tier.put(before, "key", "old");
		expect(await tier.get(tenant, 8, "key")).toBeNull();
	});

	it("keeps a value for its time and no longer", async () => {
		const [tenant] = tenantsOf();
		await tier.put(tier.before(tenant, 7), "key", "1");
		expect(await tier.get(tenant, 7, "key")).toBe("1");
		await tier.expire(tenant, 7, "key");
		expect(await tier.get(tenant, 7, "key")).toBeNull();
	});

	it("does not keep what is too long, and lets nothing go for it", async () => {
		const [tenant] = tenantsOf();
		const noise = Buffer.from(systemRandom(60_000)).toString("hex").repeat(5);
		await tier.put(tier.before(tenant, 7), "short", "1");
		await tier.put(tier.before(tenant, 7), "long", noise);
		expect(await tier.get(tenant, 7, "long")).toBeNull();
		expect(await tier.get(tenant, 7, "short")).toBe("1");
	});
});

import { Redis } from "@upstash/redis/cloudflare";
import type { Config } from "../env.ts";
import { fromBase64, toBase64 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import * as limits from "../limits.ts";
import { Breaker } from "./breaker.ts";
import { createValueSeals, type ValueSeals } from "./seal.ts";
import { keptName, type SharedStore, sharedName } from "./shared.ts";

/** What the shared store did, counted since the isolate began. */
export interface SharedCounts {
	hits: number;
	misses: number;
	/** Calls that failed, or took too long. */
	failures: number;
	/** Values that were there and did not open. */
	refused: number;
	/** Calls that were not made, because the last ones had failed. */
	skipped: number;
}

interface RedisStoreOptions {
	/** With a time-out of its own, without retries, and answering strings as they are. */
	readonly redis: Pick<Redis, "mget" | "pipeline" | "del">;
	readonly seals: ValueSeals;
	readonly breaker: Breaker;
	readonly counts: SharedCounts;
}

export function noCounts(): SharedCounts {
	return { hits: 0, misses: 0, failures: 0, refused: 0, skipped: 0 };
}

/**
 * Redis as a shared store. One that is down, slow or full costs the time of one call, and then none
 * for a while (Breaker); one that answers anything but what was written is not believed (ValueSeals).
 */
function redisStore({ redis, seals, breaker, counts }: RedisStoreOptions): SharedStore {
	async function attempt<T>(call: () => Promise<T>): Promise<T | null> {
		if (!breaker.allows()) {
			counts.skipped++;
			return null;
		}
		try {
			const answer = await call();
			breaker.succeeded();
			return answer;
		} catch {
			counts.failures++;
			breaker.failed();
			return null;
		}
	}

	async function opened(tenant: string, name: string, found: unknown): Promise<string | null> {
		if (found === null || found === undefined) {
			counts.misses++;
			return null;
		}
		const bounded = typeof found === "string" && found.length <= limits.cacheSharedValueChars;
		const sealed = bounded ? fromBase64(found) : null;
		const value = sealed && (await seals.open(tenant, name, sealed));
		if (value === null) counts.refused++;
		else counts.hits++;
		return value;
	}

	async function openedAll(tenant: string, names: readonly string[]) {
		const found = await attempt(() => redis.mget<unknown[]>(...names));
		// Whatever else it is, it is no answer to this question.
		if (!Array.isArray(found) || found.length !== names.length) return names.map(() => null);
		return Promise.all(names.map((name, index) => opened(tenant, name, found[index])));
	}

	return {
		read: (tenant, epoch, entries) =>
			openedAll(
				tenant,
				entries.map((entry) => sharedName(tenant, epoch, entry)),
			),
		async kept(tenant, epoch, entries) {
			const names = entries.map((entry) => keptName(tenant, entry));
			const values = await openedAll(tenant, names);
			const head = `${epoch} `;
			return values.map((value) => (value?.startsWith(head) ? value.slice(head.length) : null));
		},
		async write(tenant, epoch, values) {
			const pipeline = redis.pipeline();
			let commands = 0;
			const add = async (name: string, value: string, ex: number) => {
				const sealed = toBase64(await seals.close(tenant, name, value));
				if (sealed.length > limits.cacheSharedValueChars) return;
				pipeline.set(name, sealed, { ex });
				commands++;
			};
			for (const { value, ...entry } of values) {
				await add(sharedName(tenant, epoch, entry), value, limits.cacheSharedTtlSeconds);
				await add(keptName(tenant, entry), `${epoch} ${value}`, limits.cacheSharedKeptSeconds);
			}
			if (commands > 0) await attempt(() => pipeline.exec());
		},
		async drop(tenant, entries) {
			await attempt(() => redis.del(...entries.map((entry) => keptName(tenant, entry))));
		},
	};
}

/** The shared store of a deployed service: as an isolate has it, or an object. */
export function connectRedisStore(
	{ redis: { url, token }, keyEncryptionKeys }: Pick<Config, "redis" | "keyEncryptionKeys">,
	clock: Clock,
	random: Random,
	counts: SharedCounts = noCounts(),
	timeoutMs: number = limits.cacheSharedTimeoutMs,
): SharedStore {
	const redis = new Redis({
		url,
		token,
		enableTelemetry: false,
		enableAutoPipelining: false, // it joins calls of several requests into one, and none may wait for another's
		retry: { retries: 0 }, // `false` would be one
		automaticDeserialization: false,
		signal: () => AbortSignal.timeout(timeoutMs),
	});
	const pauses = { pauseMs: limits.cacheSharedPauseMs, pauseMsMax: limits.cacheSharedPauseMsMax };
	const seals = createValueSeals(keyEncryptionKeys, random);
	return redisStore({ redis, seals, breaker: new Breaker(clock, pauses), counts });
}

import { Redis } from "@upstash/redis/cloudflare";
import type { CachedToken } from "./auth/tokens.ts";
import { memoryStore } from "./cache/memory.ts";
import type { Store } from "./cache/store.ts";
import { createDatabase, type Database } from "./db/client.ts";
import { type Config, type Env, readConfig } from "./env.ts";
import { type Clock, systemClock } from "./lib/clock.ts";
import { type Random, systemRandom } from "./lib/random.ts";
import { limits } from "./limits.ts";
import { createLog, type Log } from "./observe/log.ts";
import { createEnvelope, type Envelope } from "./signing/envelope.ts";
import type { LoadedKey, LoadedVersion } from "./signing/loaded.ts";

/** A document that anyone may read, ready to be sent. */
export interface PublicDocument {
	readonly body: string;
	readonly etag: string;
}

/** Everything that a handler or a job works with. Domain functions name the part of it that they need. */
export interface Services {
	readonly config: Config;
	readonly db: Database;
	readonly redis: Redis;
	/** Static files: the documentation page. */
	readonly assets: Fetcher;
	readonly envelope: Envelope;
	readonly tokenCache: Store<CachedToken>;
	readonly keyCache: Store<LoadedKey>;
	readonly versionCache: Store<LoadedVersion>;
	readonly documentCache: Store<PublicDocument>;
	readonly clock: Clock;
	readonly random: Random;
	readonly log: Log;
}

/** The composition root. Nothing in it belongs to a request, so an isolate keeps it for its life. */
export function createServices(
	env: Env,
	clock: Clock = systemClock,
	random: Random = systemRandom,
): Services {
	const config = readConfig(env);
	const ttlMs = limits.cacheTtlMs;
	const bounds = (entries: number, bytes: number) => ({ entries, bytes, ttlMs });
	return {
		config,
		db: createDatabase(config),
		redis: new Redis({
			url: config.redis.url,
			token: config.redis.token,
			enableTelemetry: false,
			retry: false,
			signal: () => AbortSignal.timeout(limits.readinessTimeoutMs),
		}),
		assets: env.ASSETS,
		envelope: createEnvelope(config.keyEncryptionKeys, random),
		tokenCache: memoryStore(bounds(limits.cacheTokensEntries, limits.cacheTokensBytes), clock),
		keyCache: memoryStore(bounds(limits.cacheKeysEntries, limits.cacheKeysBytes), clock),
		versionCache: memoryStore(bounds(limits.cacheKeysEntries, limits.cacheKeysBytes), clock),
		documentCache: memoryStore(
			bounds(limits.cacheDocumentsEntries, limits.cacheDocumentsBytes),
			clock,
		),
		clock,
		random,
		log: createLog(config.logLevel),
	};
}

let isolateServices: Services | undefined;

/** The services of this isolate, made on its first request: every request of an isolate has the same bindings. */
export function servicesOf(env: Env): Services {
	isolateServices ??= createServices(env);
	return isolateServices;
}

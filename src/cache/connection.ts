import { Redis } from "@upstash/redis/cloudflare";
import type { Config } from "../env.ts";
import * as limits from "../limits.ts";

/** Redis for questions whose answer nothing waits for: each is sent once, and has an end. */
export function createRedis({ redis: { url, token } }: Pick<Config, "redis">): Redis {
	return new Redis({
		url,
		token,
		enableTelemetry: false,
		enableAutoPipelining: false, // it joins calls of several requests into one, and none may wait for another's
		retry: { retries: 0 }, // `false` would be one
		signal: () => AbortSignal.timeout(limits.readinessTimeoutMs),
	});
}

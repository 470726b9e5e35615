import type { LimitState } from "../ratelimit/messages.ts";

/**
 * RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10, structured fields of RFC
 * 9651), and the older X-RateLimit headers, of the bucket that has the least left. The reset is in
 * seconds from now, when the bucket would be full again.
 */
export function setRateHeaders(headers: Headers, limit: LimitState): void {
	const { name, quota, windowSeconds, remaining, resetMs } = limit;
	const reset = Math.ceil(resetMs / 1000);
	headers.set("RateLimit-Policy", `"${name}";q=${quota};w=${windowSeconds}`);
	headers.set("RateLimit", `"${name}";r=${remaining};t=${reset}`);
	headers.set("X-RateLimit-Limit", String(quota));
	headers.set("X-RateLimit-Remaining", String(remaining));
	headers.set("X-RateLimit-Reset", String(reset));
}

import { limits } from "./limits.ts";
import type { Running } from "./scenario.ts";
import type { Interval } from "./timeline.ts";

/** Long enough for a p95 at the rates of scenarios, and short beside a recovery. */
const windowMs = 1_000;
const within = 1.1;

/**
 * From the beginning of `after` to the first second in which the p95 of requests is within 10 % of
 * that of `before` and no more of them fail than before, in milliseconds, to a quarter of a second.
 * @returns NaN where there is no such second
 */
export function timeUntilBack(
	{ summary }: Pick<Running, "summary">,
	before: Interval,
	after: Interval,
): number {
	const usual = summary(before);
	const most = within * (usual.latency?.p95 ?? Number.NaN);
	const errorShare = usual.errors / usual.offered;
	const first = Math.ceil(after.from / limits.cellMs) * limits.cellMs;
	for (let from = first; from + windowMs <= after.to; from += limits.cellMs) {
		const now = summary({ from, to: from + windowMs });
		const isFast = (now.latency?.p95 ?? Number.POSITIVE_INFINITY) <= most;
		if (isFast && now.errors <= errorShare * now.offered) return from - after.from;
	}
	return Number.NaN;
}

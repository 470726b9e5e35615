import * as limits from "../limits.ts";
import { handBack, isPromised, type LaneState, prepareAsk, sourceOf } from "./lane.ts";
import type { LaneAsk } from "./messages.ts";

/** A lane in a question. */
export interface Asked {
	readonly ask: LaneAsk;
	/** What the request costs that waits for the answer; 0 where none does. */
	readonly need: number;
}

/**
 * One question, by its lanes' ids: for those in need, for what draws from the same bucket, and for all others that
 * were used of late, as far as there is room.
 */
export function askFor(
	lanes: readonly LaneState[],
	first: readonly LaneState[],
	need: number,
	now: number,
): ReadonlyMap<string, Asked> {
	const rest = lanes.filter((of) => !first.includes(of));
	const near = nearOf(rest, first);
	if (need > 0) for (const of of near) if (of.waiting === 0) handBack(of);
	const used = rest.filter((of) => of.demand > 0 && !near.includes(of));
	// Somebody was told when to come: what a token has then is not for others of its to take before.
	const promised = new Set(
		lanes.filter((of) => of.lane.token !== null && isPromised(of, now)).map(sourceOf),
	);
	const asked = new Map<string, Asked>();
	for (const of of [...first, ...near, ...used].slice(0, limits.lanesPerAsk)) {
		const own = first.includes(of) ? need : 0;
		const ask = prepareAsk(of, own, own > 0 || !promised.has(sourceOf(of)), now);
		asked.set(of.lane.id, { ask, need: own });
	}
	return asked;
}

/** Of the same token: what they hold of its bucket, or have not told of, keeps that from filling. */
function nearOf(lanes: readonly LaneState[], first: readonly LaneState[]): readonly LaneState[] {
	const sources = new Set(first.map(sourceOf));
	return lanes.filter((of) => sources.has(sourceOf(of)) && (of.tokens > 0 || of.done > of.told));
}

import * as limits from "../limits.ts";
import type { LaneAnswer, LaneAsk, LaneLimit, LimitState } from "./messages.ts";
import { type Lane, tokenParts } from "./policy.ts";

/** What an isolate has of one lane. */
export interface LaneState {
	readonly lane: Lane;
	/** Which of the holder's lanes it is, counted. */
	readonly generation: number;
	tokens: number;
	/** Its tokens lapse then, however long the term is. */
	endsAt: number;
	done: number;
	/** As much of `done` the coordinator knows: what it is not told of keeps the bucket from filling. */
	told: number;
	/** When it was last told while nothing was needed, because a request had been refused. */
	toldAt: number;
	returned: number;
	/** What the requests cost that wait for an answer. */
	waiting: number;
	/** Asked for since `demandFrom`, granted or not. */
	demand: number;
	demandFrom: number;
	/** Hundredths of a token per millisecond, of late. */
	pace: number;
	/** What it was last to have in hand. */
	target: number;
	/**
	 * What the coordinator said no to: what costs as much is refused here until then. `cost` is null where
	 * it gave less than was wanted: what is in hand can be spent, and a token more will be there then.
	 */
	refused: {
		readonly cost: number | null;
		readonly until: number;
		/** Whoever was told when to come has come by then. */
		readonly keptUntil: number;
		readonly limit: LaneLimit;
	} | null;
	limit: LaneLimit;
}

export function freshLane(lane: Lane, generation: number, now: number): LaneState {
	return {
		lane,
		generation,
		tokens: 0,
		endsAt: 0,
		done: 0,
		told: 0,
		toldAt: 0,
		returned: 0,
		waiting: 0,
		demand: 0,
		demandFrom: now,
		pace: 0,
		target: 0,
		refused: null,
		limit: {
			name: lane.operation,
			quota: 0,
			windowSeconds: 1,
			remaining: 0,
			resetMs: 0,
			most: 0,
			msPerPart: 0,
		},
	};
}

/** How an answer is to be taken. */
export interface Reception {
	/** What the request costs that waits for it; 0 where none does. */
	readonly need: number;
	/** What the question told of as done. */
	readonly told: number;
	/** When the tokens end that it brings. */
	readonly endsAt: number;
	/** Whether the coordinator was told of every token in hand. */
	readonly knowsAll: boolean;
	readonly now: number;
}

/** Takes in what the coordinator answered for the lane. */
export function receive(
	of: LaneState,
	{ granted, refusal, pauseMs, limit }: LaneAnswer,
	{ need, told, endsAt, knowsAll, now }: Reception,
): void {
	of.told = Math.max(of.told, told);
	if (need === 0 && of.refused && of.refused.cost !== null) of.toldAt = now;
	if (of.endsAt <= now) handBack(of);
	// A coordinator that was restarted grants no longer life to tokens that it was not told of.
	const isLonger = knowsAll || of.tokens === 0;
	of.endsAt = isLonger ? Math.max(of.endsAt, endsAt) : Math.min(of.endsAt, endsAt);
	of.tokens += granted;
	of.limit = limit;
	if (refusal) {
		const until = refusal.waitMs < 0 ? Infinity : now + Math.max(refusal.waitMs, pauseMs);
		of.refused = { cost: need, until, keptUntil: keptUntil(until, now), limit: refusal.limit };
	} else if (need > 0 || !isPromised(of, now)) {
		const until = now + pauseMs;
		of.refused = pauseMs > 0 ? { cost: null, until, keptUntil: until, limit } : null;
	}
}

/** Times are told in whole seconds, of which there is one at the least; and the way takes a moment. */
export function keptUntil(until: number, now: number): number {
	return now + Math.max(1, Math.ceil((until - now) / 1000)) * 1000 + limits.leasePauseMs;
}

/** Whether somebody was told when to come again, and has not come, nor is there as much already. */
export function isPromised({ refused, tokens }: LaneState, now: number): boolean {
	if (!refused || refused.cost === null || refused.until === Number.POSITIVE_INFINITY) return false;
	return now < refused.keptUntil && tokens < refused.cost;
}

/**
 * Whether the coordinator is to hear of what was spent, or has lapsed, before it is known when there is more: it
 * holds the bucket's room for that, so what it said of the time was for later than need be, or too early.
 */
export function isUntold({ refused, done, told, endsAt }: LaneState, now: number): boolean {
	if (refused?.cost !== null) return false;
	return endsAt <= now || (done > told && refused.until > now + limits.leasePauseMs);
}

/** Nothing is left in hand, and the coordinator does not know: it holds much of the bucket's room for what was spent. */
export function isSpentOut({ tokens, done, told, limit }: LaneState): boolean {
	return tokens < tokenParts && isMuch(done - told, limit);
}

/** Of a bucket that many isolates share, none has so much that it would be missed. */
function isMuch(parts: number, { most }: LaneLimit): boolean {
	return parts > 0 && limits.leaseTellParts * parts >= most;
}

/**
 * Whether the coordinator is to hear now of what was spent before a refusal: who was told to come again waits for a
 * second at the least, in which the bucket would not fill over it.
 */
export function isWorthTelling(of: LaneState, now: number): boolean {
	const { refused, done, told, lane } = of;
	if (done <= told || !refused || refused.cost === null) return false;
	// Of a token's own bucket a little is told too, now and then: nobody else waits for what else there is of it.
	return (
		isMuch(done - told, refused.limit) ||
		(lane.token !== null && now >= of.toldAt + limits.leaseTellMs)
	);
}

/** When as much as that will be there: refusals are for a cost, and a larger one takes longer. -1 for never. */
export function retryMs({ refused, tokens }: LaneState, cost: number, now: number): number {
	if (!refused || refused.until === Number.POSITIVE_INFINITY) return -1;
	const { most, msPerPart } = refused.limit;
	if (cost > most) return -1;
	const more = Math.max(0, cost - (refused.cost ?? tokens + tokenParts));
	return refused.until - now + Math.ceil(more * msPerPart);
}

/** What a refused request is told: it costs more than is left. */
export function refusalOf(of: LaneState, limit: LaneLimit, cost: number): LimitState {
	const state = withHand(of, limit);
	const below = Math.ceil(cost / tokenParts) - 1;
	return { ...state, remaining: Math.max(0, Math.min(state.remaining, below)) };
}

/** The same for all lanes of one token with a limit of its own: they draw from its bucket. */
export function sourceOf({ lane: { token, id } }: LaneState): string {
	return token?.id ?? id;
}

/** What it was told to make do with; a time that somebody was told of stands. */
export function forgetPause(of: LaneState): void {
	if (of.refused?.cost === null) of.refused = null;
}

/** Gives up what it has, and what it was refused. */
export function handBack(of: LaneState): void {
	of.done += of.tokens;
	of.returned += of.tokens;
	of.tokens = 0;
	of.refused = null;
}

/** What is left of the limit, with what the isolate has in hand. */
export function withHand({ tokens }: LaneState, limit: LaneLimit): LimitState {
	const { name, quota, windowSeconds, remaining, resetMs } = limit;
	const left = Math.min(quota, remaining + Math.floor(tokens / tokenParts));
	return { name, quota, windowSeconds, resetMs, remaining: left };
}

/**
 * Takes stock of a lane: lapsed tokens are gone, tokens beyond the demand go back, the rest is told.
 * @param wants whether it is to get more than it needs now
 */
export function prepareAsk(of: LaneState, need: number, wants: boolean, now: number): LaneAsk {
	const elapsed = now - of.demandFrom;
	if (of.endsAt <= now) {
		handBack(of);
		// What they were before a silence tells nothing.
		of.pace = 0;
		of.target = 0;
	}
	if (elapsed >= limits.leasePaceMs) {
		const recent = of.demand / elapsed;
		// A pace that rises is followed at once, and so is a silence; one that falls, half-way each time.
		const isSure = recent >= of.pace || elapsed >= limits.leaseClaimMs;
		of.pace = isSure ? recent : (of.pace + recent) / 2;
		of.demand = 0;
		of.demandFrom = now;
	}
	// What wants to be spent now, and what will until the next lease if it goes on like this.
	// It grows by steps: who came first would have all of it before the others' demand is known.
	const coming = Math.min(Math.ceil(of.pace * limits.leaseHorizonMs), 2 * of.target);
	const target = Math.max(coming, of.waiting);
	of.target = target;
	const surplus = of.tokens - 2 * target;
	if (surplus > 0) {
		of.tokens -= surplus;
		of.done += surplus;
		of.returned += surplus;
	}
	const { lane, generation, tokens: held, done, returned } = of;
	// What is in hand is a part of what the request needs.
	const more = Math.max(0, need - held);
	const want = wants ? Math.max(0, target - held) : 0;
	return { lane, generation, need: more, want, held, done, returned };
}

import type { TenantConfig } from "../config/schema.ts";
import type { Lane } from "./policy.ts";

/** A change is known. */
export interface Confirmation {
	/** The new one. */
	readonly epoch: number;
	/** How long leases of older ones can still live. */
	readonly oldLeasesMs: number;
}

/**
 * What an isolate and a tenant's coordinator say to each other. A lease is tokens to spend, the
 * tenant's epoch and its configuration version, all for the same short time. Token counts are in
 * hundredths of a token.
 */
export interface LeaseAsk {
	/** The isolate, for this tenant: random, and new whenever its counts begin anew. */
	readonly holder: string;
	/** The configuration that the isolate has; the answer brings another one along. */
	readonly configVersion: number;
	/** The least that the isolate takes: a shard that lends an earlier one asks the first shard anew. */
	readonly epoch: number;
	/** The holder's questions, counted: they may overtake each other. */
	readonly number: number;
	/**
	 * Whether every earlier question was answered, or can be answered no more: what was granted, and is
	 * neither held nor done, is lost then and was spent by nobody.
	 */
	readonly isComplete: boolean;
	readonly lanes: readonly LaneAsk[];
}

export interface LaneAsk {
	readonly lane: Lane;
	/** The holder's lanes, counted: one that was dropped and comes again begins its counts anew. */
	readonly generation: number;
	/** What the waiting request costs; 0 when none waits. */
	readonly need: number;
	/** What the isolate would like to have beside what it holds. */
	readonly want: number;
	/** What it holds, unspent. */
	readonly held: number;
	/** What it will not spend any more, since the holder began: spent, given back or lapsed. */
	readonly done: number;
	/** The part of `done` that it gave back unspent, while the lease still lived. */
	readonly returned: number;
}

export type LeaseAnswer =
	| {
			readonly kind: "lease";
			readonly epoch: number;
			/** A change is announced, and not known to be made or not: what was read before it may be old. */
			readonly isChanging: boolean;
			/** Counted from before the question was sent. */
			readonly ttlMs: number;
			readonly configVersion: number;
			/** Only when it is another than the isolate has. */
			readonly config: TenantConfig | null;
			readonly lanes: readonly LaneAnswer[];
	  }
	| { readonly kind: "unknown_tenant" }
	| { readonly kind: "overloaded" };

export interface LaneAnswer {
	readonly lane: string;
	readonly granted: number;
	/** Why less was granted than the waiting request needs. */
	readonly refusal: Refusal | null;
	/** Not to be asked again before: others want tokens too. 0 where there is enough. */
	readonly pauseMs: number;
	/** The bucket that has the least left. */
	readonly limit: LaneLimit;
}

export interface Refusal {
	/** The bucket that has not enough. */
	readonly limit: LaneLimit;
	/** Infinity (as -1) when the bucket never holds as much. */
	readonly waitMs: number;
}

/** A bucket as the coordinator has it, which may be a part of the tenant's. */
export interface LaneLimit extends LimitState {
	/** The most that a request of the lane can cost, in hundredths of a token. */
	readonly most: number;
	readonly msPerPart: number;
}

/** What the RateLimit headers tell. Tokens, not hundredths. */
export interface LimitState {
	readonly name: string;
	readonly quota: number;
	readonly windowSeconds: number;
	readonly remaining: number;
	/** Milliseconds until the bucket is full if nobody takes anything. */
	readonly resetMs: number;
}

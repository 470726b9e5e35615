import * as limits from "../limits.ts";
import { available, type Bucket, waitMs } from "./bucket.ts";
import type { LaneLimit, Refusal } from "./messages.ts";
import { type BucketRule, type Shard, tokenParts } from "./policy.ts";
import { fairShare } from "./share.ts";

/** What an isolate has of a lane, as far as the coordinator knows: it may hold `granted - done`. */
export interface Grant {
	/** Of which holder's lane: with a change of the limits it gets another grant. */
	readonly lane: string;
	readonly isCritical: boolean;
	/** The buckets that it was taken from. */
	readonly accounts: readonly Account[];
	granted: number;
	done: number;
	returned: number;
	/** As much of `granted` was taken from a bucket of another size, and is worth nothing to this one. */
	foreign: number;
	/** What the isolate would like to have in hand, going by its demand of late. */
	target: number;
	/** What it was granted of late: a half of it is forgotten after limits.leaseMemoryMs. */
	recent: number;
	/** When the holder last asked. */
	askedAt: number;
	/** From then on nothing of it can be spent. */
	endsAt: number;
}

/** A bucket, and who holds tokens of it. */
export interface Account {
	readonly id: string;
	bucket: Bucket;
	/** The sum of what its grants hold. */
	held: number;
	readonly grants: Set<Grant>;
	/** The sum of their targets. */
	wanted: number;
	/** What may still be held of an earlier life of the object, which these books have no grant for. */
	heldBefore: number;
	/** What may still be given back of leases that have ended: the room that has not filled since, in the bucket's parts. */
	ended: number;
}

/** A bucket among those that a lane draws from. */
export interface Drawing {
	readonly account: Account;
	readonly rule: BucketRule;
	/** What this lane has to leave for critical operations. */
	readonly reserve: number;
}

export function freeOf({ account, reserve }: Drawing): number {
	return available(account.bucket, reserve);
}

/**
 * What is there and what was granted of late, divided among those who draw from it by what they want
 * of it, less what this one was granted of late: who came first gets no more than who comes next.
 * Critical operations share with each other, and leave what they do not want.
 */
export function shareOf(drawing: Drawing, grant: Grant, now: number): number {
	let pool = freeOf(drawing);
	// Enough for all, whoever of them asked of late: the common case, without a look at each.
	if (claimOf(drawing.account.wanted) <= pool) return Number.POSITIVE_INFINITY;
	const claims: number[] = [];
	for (const other of drawing.account.grants) {
		if (other !== grant && other.askedAt + limits.leaseClaimMs <= now) continue;
		if (grant.isCritical && !other.isCritical) continue;
		const recent = recentOf(other, now);
		pool += recent;
		claims.push(recent + claimOf(other.target));
	}
	const share = fairShare(pool, claims) - recentOf(grant, now);
	return Math.max(0, Math.floor(share + 1e-6)); // what only rounding took
}

/** What an isolate may come to want until it asks again: its demand grows by as much at the most. */
function claimOf(target: number): number {
	return 2 * target;
}

export function recentOf({ recent, askedAt }: Grant, now: number): number {
	return recent * 2 ** ((askedAt - now) / limits.leaseMemoryMs);
}

/** How long whoever got less than they wanted is to make do with it. */
export function pause(drawings: readonly Drawing[], shard: Shard): number {
	const left = Math.min(...drawings.map(freeOf));
	// What is left is for others, who come for it as often; if they do not come, it is soon free again.
	const inflow = Math.max(
		...drawings.map(({ rule: { policy } }) => policy.quota / policy.windowMs),
	);
	if (left > 4 * inflow * limits.leasePauseMs) return limits.leaseShortPauseMs;
	// A token, or as much of one as there can ever be.
	const token = Math.min(tokenParts, ...drawings.map(mostOf));
	if (left >= token) return limits.leasePauseMs;
	return Math.max(limits.leasePauseMs, refusal(drawings, token, shard).waitMs);
}

export function refusal(drawings: readonly Drawing[], need: number, shard: Shard): Refusal {
	const refusals = drawings.map((drawing): Refusal => {
		const { account, rule, reserve } = drawing;
		const limit = limitOf(drawing, shard);
		const wait = waitMs(account.bucket, need, reserve);
		if (wait === Number.POSITIVE_INFINITY) return { limit, waitMs: -1 };
		// While others hold most of a small bucket it does not fill: their leases end first.
		const room = rule.policy.quota - account.held - account.heldBefore - reserve;
		const isBlocked = wait > 0 && room < need;
		return { limit, waitMs: isBlocked ? Math.max(wait, limits.leaseMs) : wait };
	});
	const never = refusals.find((of) => of.waitMs < 0);
	return never ?? refusals.reduce((longest, of) => (of.waitMs > longest.waitMs ? of : longest));
}

function mostOf({ rule: { policy }, reserve }: Drawing): number {
	return policy.quota - reserve;
}

/** The bucket that has the least left for this lane. */
export function tightest(drawings: readonly Drawing[]): Drawing {
	return drawings.reduce((least, of) => (freeOf(of) < freeOf(least) ? of : least));
}

export function limitOf(drawing: Drawing, { count }: Shard): LaneLimit {
	const { quota, windowMs } = drawing.rule.policy;
	return {
		name: drawing.rule.name,
		quota: Math.round((quota * count) / tokenParts),
		windowSeconds: windowMs / 1000,
		remaining: Math.floor((freeOf(drawing) * count) / tokenParts),
		resetMs: waitMs(drawing.account.bucket, quota),
		most: mostOf(drawing),
		msPerPart: windowMs / quota,
	};
}

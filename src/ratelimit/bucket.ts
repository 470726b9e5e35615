/**
 * A token bucket in whole numbers, so that nothing is lost or made by rounding however often it is read.
 * The level is counted in tokens times milliseconds of the window: each millisecond adds `quota` of
 * these, and a token is worth the window's length of them. All of it stays below 2^53.
 */

/** `quota` tokens in `windowMs`: the size of the bucket, and the time in which it fills. Whole numbers. */
export interface BucketPolicy {
	readonly quota: number;
	readonly windowMs: number;
}

export interface Bucket {
	readonly policy: BucketPolicy;
	/** Parts, as above. Never above the policy's capacity, never below zero. */
	readonly level: number;
	/** The time, in milliseconds, for which the level holds. */
	readonly at: number;
}

function capacityOf({ quota, windowMs }: BucketPolicy): number {
	return quota * windowMs;
}

export function fullBucket(policy: BucketPolicy, now: number): Bucket {
	return { policy, level: capacityOf(policy), at: now };
}

/**
 * The bucket as time has filled it. `heldTokens` are with somebody who may still spend them: they
 * count as if they lay in it, so that the bucket and they together are never more than its size.
 * The clock does not go back (`steadyClock`).
 */
export function filled(bucket: Bucket, now: number, heldTokens = 0): Bucket {
	const { policy, level, at } = bucket;
	if (now <= at) return bucket;
	const room = capacityOf(policy) - heldTokens * policy.windowMs;
	const elapsed = Math.min(now - at, policy.windowMs); // more would fill it no further
	const added = Math.min(level + elapsed * policy.quota, room);
	return { policy, level: Math.max(level, added), at: now };
}

/** Whole tokens above those that are kept back. */
export function available({ policy, level }: Bucket, reserveTokens = 0): number {
	return Math.max(0, Math.floor(level / policy.windowMs) - reserveTokens);
}

/** Takes tokens that are there. @throws RangeError when they are not: the caller looked before. */
export function take(bucket: Bucket, tokens: number): Bucket {
	const level = bucket.level - tokens * bucket.policy.windowMs;
	if (level < 0) throw new RangeError(`a bucket of ${bucket.level} can not give ${tokens} tokens`);
	return { ...bucket, level };
}

/** Puts back tokens that were taken and not spent. */
export function giveBack(bucket: Bucket, tokens: number): Bucket {
	return raised(bucket, tokens * bucket.policy.windowMs);
}

/** The same in parts of the level. */
export function raised(bucket: Bucket, parts: number): Bucket {
	return { ...bucket, level: Math.min(bucket.level + parts, capacityOf(bucket.policy)) };
}

/** Milliseconds until `tokens` are there above the reserve, if nobody takes any; Infinity when the bucket is too small. */
export function waitMs({ policy, level }: Bucket, tokens: number, reserveTokens = 0): number {
	const wanted = (tokens + reserveTokens) * policy.windowMs;
	if (wanted > capacityOf(policy)) return Number.POSITIVE_INFINITY;
	return Math.max(0, Math.ceil((wanted - level) / policy.quota));
}

/** Another size, as full as before: half of a bucket stays half of it, also where it is divided among shards. */
export function resized({ policy: old, level, at }: Bucket, policy: BucketPolicy): Bucket {
	if (old.quota === policy.quota && old.windowMs === policy.windowMs) return { policy, level, at };
	const share = level / capacityOf(old);
	return { policy, level: Math.floor(share * policy.quota) * policy.windowMs, at };
}

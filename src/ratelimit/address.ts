import type { Clock } from "../lib/clock.ts";
import { within } from "../lib/within.ts";
import * as limits from "../limits.ts";
import { available, type Bucket, filled, fullBucket, giveBack, take, waitMs } from "./bucket.ts";
import type { LimitState } from "./messages.ts";

export interface AddressLimits {
	/** Spends from what an address may do before anyone knows who calls. */
	spend(address: string, cost: number): AddressSpending;
	/** Puts back a part of what was spent. */
	giveBack(address: string, cost: number): void;
	/**
	 * Asks the platform's own limiter too, which counts the address over all isolates of a location. Unknown
	 * where it does not answer.
	 */
	confirm(address: string): Promise<Confirmed>;
	/** Whether a token, by its hash, was good when it was last looked up. */
	wasGood(hash: string): boolean;
	/** What came of looking it up. */
	noteGood(hash: string, isGood: boolean): void;
	/** About what it holds. */
	bytes(): number;
}

type Confirmed = "yes" | "no" | "unknown";

export interface AddressSpending {
	readonly spent: boolean;
	readonly limit: LimitState;
	/** When it was not spent. */
	readonly retryMs: number;
}

const policy = { quota: limits.addressQuota, windowMs: limits.addressWindowMs };

/** A bucket, its address and its part of the map. */
const bucketBytes = 200;

/** A hash in hexadecimal and its part of the set. */
const hashBytes = 128;

/** Limits by address: the isolate's own memory first, which costs nothing, then the platform's limiter. */
export function createAddressLimits(platform: RateLimit, clock: Clock): AddressLimits {
	const buckets = new Map<string, Bucket>();
	/** The one that was noted first goes first. */
	const good = new Set<string>();

	return {
		spend(address, cost) {
			const now = clock();
			const bucket = filled(buckets.get(address) ?? fullBucket(policy, now), now);
			const spent = available(bucket) >= cost;
			const after = spent ? take(bucket, cost) : bucket;
			// The one that was not seen for the longest goes: its bucket is the fullest.
			buckets.delete(address);
			buckets.set(address, after);
			if (buckets.size > limits.addressesRemembered) {
				const [oldest] = buckets.keys();
				if (oldest !== undefined) buckets.delete(oldest);
			}
			return { spent, limit: stateOf(after), retryMs: waitMs(after, cost) };
		},
		giveBack(address, cost) {
			const bucket = buckets.get(address);
			if (bucket) buckets.set(address, giveBack(bucket, cost));
		},
		bytes() {
			return bucketBytes * buckets.size + hashBytes * good.size;
		},
		wasGood: (hash) => good.has(hash),
		noteGood(hash, isGood) {
			if (!isGood) good.delete(hash);
			else good.add(hash);
			if (good.size <= limits.goodTokensRemembered) return;
			const [oldest] = good;
			if (oldest !== undefined) good.delete(oldest);
		},
		async confirm(address) {
			const ask = async () => ((await platform.limit({ key: address })).success ? "yes" : "no");
			const unknown = () => "unknown" as const;
			return within<Confirmed>(ask(), limits.addressTimeoutMs, unknown).catch(unknown);
		},
	};
}

function stateOf(bucket: Bucket): LimitState {
	return {
		name: "address",
		quota: policy.quota,
		windowSeconds: policy.windowMs / 1000,
		remaining: available(bucket),
		resetMs: waitMs(bucket, policy.quota),
	};
}

/** Who calls, as far as the platform tells. A whole /64 of IPv6 is one caller: it is what one line is given. */
export function addressOf(request: Request): string {
	const address = request.headers.get("cf-connecting-ip") ?? "unknown";
	// An address of IPv4 in the form of IPv6 (RFC 4291 section 2.5.5) is that one caller.
	if (!address.includes(":") || address.includes(".")) return address.replace(/^.*:/, "");
	const [head = "", tail] = address.toLowerCase().split("::");
	const groups = head.split(":").filter((group) => group !== "");
	if (tail !== undefined) {
		const after = tail.split(":").filter((group) => group !== "");
		while (groups.length + after.length < 8) groups.push("0");
		groups.push(...after);
	}
	return groups
		.slice(0, 4)
		.map((group) => group.replace(/^0+(?=.)/, ""))
		.join(":");
}

import type { TenantConfig } from "../config/schema.ts";
import { limits } from "../limits.ts";
import {
	available,
	type Bucket,
	emptyBucket,
	filled,
	fullBucket,
	giveBack,
	resized,
	take,
	waitMs,
} from "./bucket.ts";
import type { LaneAnswer, LaneAsk, LimitState, Refusal } from "./messages.ts";
import { type BucketRule, mayTakeReserve, rulesFor, type Shard, tokenParts } from "./policy.ts";

/** What an isolate has of a lane, as far as the coordinator knows: it may hold `granted - done`. */
interface Grant {
	readonly holder: string;
	readonly buckets: readonly string[];
	granted: number;
	done: number;
	returned: number;
	/** From then on nothing of it can be spent. */
	endsAt: number;
	/** Until then the isolate may still tell what it did not spend, and give it back. */
	forgetAt: number;
}

/** A bucket as it is stored. */
export interface StoredBucket {
	readonly id: string;
	readonly level: number;
	readonly at: number;
	readonly quota: number;
	readonly windowMs: number;
}

/**
 * A coordinator's books: the buckets, and who holds how much of them. Plain arithmetic with the time
 * as a parameter; the Durable Object stores what `changed` names before an answer leaves it.
 *
 * A bucket and what was granted from it are never more than its size, so the tokens spent anywhere
 * are never more than one bucket in one place would have allowed.
 */
export class Ledger {
	readonly #buckets = new Map<string, Bucket>();
	readonly #grants = new Map<string, Grant>();
	readonly #changed = new Set<string>();

	/**
	 * @param stored what an earlier life of the object stored
	 * @param noneHeldFrom when the last lease of that life has ended: until then somebody may hold
	 * tokens that these books do not know of, so nothing flows in before
	 */
	constructor(stored: readonly StoredBucket[], noneHeldFrom: number) {
		for (const { id, level, at, quota, windowMs } of stored) {
			const policy = { quota, windowMs };
			this.#buckets.set(id, { policy, level, at: Math.max(at, noneHeldFrom) });
		}
	}

	get holders(): number {
		return this.#grants.size;
	}

	/** Grants what can be granted of each lane. */
	lease(
		holder: string,
		asks: readonly LaneAsk[],
		config: TenantConfig,
		shard: Shard,
		now: number,
	): LaneAnswer[] {
		this.#dropEnded(now);
		if (this.#buckets.size > limits.bucketsPerTenant) this.#dropFull(now);
		return asks.map((ask) => this.#leaseLane(holder, ask, config, shard, now));
	}

	/** What has changed since this was last asked: buckets to store, and the ids of those to forget. */
	takeChanges(): { readonly changed: StoredBucket[]; readonly dropped: string[] } {
		const changed: StoredBucket[] = [];
		const dropped: string[] = [];
		for (const id of this.#changed) {
			const bucket = this.#buckets.get(id);
			if (bucket) changed.push({ id, level: bucket.level, at: bucket.at, ...bucket.policy });
			else dropped.push(id);
		}
		this.#changed.clear();
		return { changed, dropped };
	}

	#leaseLane(
		holder: string,
		ask: LaneAsk,
		config: TenantConfig,
		shard: Shard,
		now: number,
	): LaneAnswer {
		const { lane, need } = ask;
		const rules = rulesFor(lane, config, shard);
		const grant = this.#settle(holder, ask, rules);
		for (const rule of rules) this.#fill(rule, now);
		const reserveOf = (rule: BucketRule) => (mayTakeReserve(lane) ? 0 : rule.reserve);
		const free = Math.min(...rules.map((rule) => available(this.#at(rule), reserveOf(rule))));
		const share = Math.min(...rules.map((rule) => this.#shareOf(rule, reserveOf(rule), now)));
		const wanted = Math.max(need, ask.want);
		const granted = free < need ? 0 : Math.min(wanted, free, Math.max(need, share));
		for (const rule of rules) {
			this.#buckets.set(rule.id, take(this.#at(rule), granted));
			this.#changed.add(rule.id);
		}
		grant.granted += granted;
		grant.endsAt = now + limits.leaseTtlMs + limits.leaseGraceMs;
		grant.forgetAt = now + limits.leaseReportMs;
		return {
			lane: lane.id,
			granted,
			refusal: granted < need ? this.#refusal(rules, need, reserveOf) : null,
			pauseMs: granted < wanted ? this.#pause(rules, free - granted, reserveOf) : 0,
			limit: this.#tightest(rules, reserveOf, shard),
		};
	}

	/** Brings the books up to what the isolate tells of its lane, and gives back what it gave back. */
	#settle(holder: string, ask: LaneAsk, rules: readonly BucketRule[]): Grant {
		const name = `${holder} ${ask.lane.id}`;
		const known = this.#grants.get(name);
		if (!known) {
			// New, ended, or of an earlier life of this object: what it says it holds was taken then.
			const { done, held, returned } = ask;
			const buckets = rules.map(({ id }) => id);
			const granted = done + held;
			const grant = { holder, buckets, granted, done, returned, endsAt: 0, forgetAt: 0 };
			this.#grants.set(name, grant);
			return grant;
		}
		const back = Math.min(
			Math.max(0, ask.returned - known.returned),
			Math.max(0, known.granted - known.done),
		);
		known.returned = Math.max(known.returned, ask.returned);
		known.done = Math.max(known.done, ask.done);
		if (back > 0) {
			for (const id of known.buckets) {
				const bucket = this.#buckets.get(id);
				if (bucket) this.#buckets.set(id, giveBack(bucket, back));
				this.#changed.add(id);
			}
		}
		return known;
	}

	#fill(rule: BucketRule, now: number): void {
		const known = this.#buckets.get(rule.id);
		const bucket = known ? resized(known, rule.policy) : fullBucket(rule.policy, now);
		this.#buckets.set(rule.id, filled(bucket, now, this.#held(rule.id)));
	}

	#at({ id, policy }: BucketRule): Bucket {
		return this.#buckets.get(id) ?? emptyBucket(policy, 0);
	}

	#held(bucketId: string): number {
		let held = 0;
		for (const { buckets, granted, done } of this.#grants.values()) {
			if (buckets.includes(bucketId)) held += granted - done;
		}
		return held;
	}

	/** What is there, divided among those who draw from it. */
	#shareOf(rule: BucketRule, reserve: number, now: number): number {
		const holders = new Set<string>();
		for (const { holder, buckets, endsAt } of this.#grants.values()) {
			if (endsAt > now && buckets.includes(rule.id)) holders.add(holder);
		}
		return Math.floor(available(this.#at(rule), reserve) / Math.max(1, holders.size));
	}

	/** How long whoever got less than they wanted is to make do with it. */
	#pause(
		rules: readonly BucketRule[],
		left: number,
		reserveOf: (rule: BucketRule) => number,
	): number {
		// What is left is for others, who come for it as often.
		if (left >= tokenParts) return limits.leasePauseMs;
		const { waitMs } = this.#refusal(rules, tokenParts, reserveOf);
		return Math.max(limits.leasePauseMs, waitMs);
	}

	#refusal(
		rules: readonly BucketRule[],
		need: number,
		reserveOf: (rule: BucketRule) => number,
	): Refusal {
		let refusal: Refusal = { bucket: "", waitMs: -1 };
		for (const rule of rules) {
			const bucket = this.#at(rule);
			const wait = waitMs(bucket, need, reserveOf(rule));
			if (wait === Number.POSITIVE_INFINITY) return { bucket: rule.name, waitMs: -1 };
			// While others hold most of a small bucket it does not fill: their leases end first.
			const room = rule.policy.quota - this.#held(rule.id) - reserveOf(rule);
			const blocked = room < need ? limits.leaseTtlMs + limits.leaseGraceMs : 0;
			const waitMsHere = Math.max(wait, blocked);
			if (wait > 0 && waitMsHere > refusal.waitMs) {
				refusal = { bucket: rule.name, waitMs: waitMsHere };
			}
		}
		return refusal;
	}

	#tightest(
		rules: readonly BucketRule[],
		reserveOf: (rule: BucketRule) => number,
		{ count }: Shard,
	): LimitState {
		const states = rules.map((rule) => {
			const bucket = this.#at(rule);
			const { quota, windowMs } = rule.policy;
			const left = available(bucket, reserveOf(rule));
			return { rule, left, resetMs: waitMs(bucket, quota), quota, windowMs };
		});
		const [first, ...others] = states;
		if (!first) throw new Error("a lane draws from no bucket");
		const { rule, left, resetMs, quota, windowMs } = others.reduce(
			(least, state) => (state.left < least.left ? state : least),
			first,
		);
		return {
			name: rule.name,
			quota: Math.round((quota * count) / tokenParts),
			windowSeconds: windowMs / 1000,
			remaining: Math.floor((left * count) / tokenParts),
			resetMs,
		};
	}

	/** A full bucket that nobody draws from is as good as one that was never there. */
	#dropFull(now: number): void {
		for (const [id, bucket] of this.#buckets) {
			const { level, policy } = filled(bucket, now);
			if (level < policy.quota * policy.windowMs || this.#held(id) > 0) continue;
			this.#buckets.delete(id);
			this.#changed.add(id);
		}
	}

	#dropEnded(now: number): void {
		for (const [name, { forgetAt }] of this.#grants) {
			if (forgetAt <= now) this.#grants.delete(name);
		}
	}
}

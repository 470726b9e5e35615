import type { TenantConfig } from "../config/schema.ts";
import { limits } from "../limits.ts";
import {
	available,
	type Bucket,
	filled,
	fullBucket,
	giveBack,
	resized,
	take,
	waitMs,
} from "./bucket.ts";
import type { LaneAnswer, LaneAsk, LeaseAsk, LimitState, Refusal } from "./messages.ts";
import { type BucketRule, mayTakeReserve, rulesFor, type Shard, tokenParts } from "./policy.ts";
import { fairShare } from "./share.ts";

/** What an isolate has of a lane, as far as the coordinator knows: it may hold `granted - done`. */
interface Grant {
	readonly isCritical: boolean;
	/** The buckets that it was taken from. */
	readonly accounts: readonly Account[];
	granted: number;
	done: number;
	returned: number;
	/** As much of `granted` was taken from a bucket of another size, and is worth nothing to this one. */
	foreign: number;
	/** The holder's latest question: an older one that comes late tells what held once. */
	question: number;
	/** What the isolate would like to have in hand, going by its demand of late. */
	target: number;
	/** What it was granted of late: a half of it is forgotten after limits.leaseMemoryMs. */
	recent: number;
	/** When the holder last asked. */
	askedAt: number;
	/** From then on nothing of it can be spent. */
	endsAt: number;
	/** Until then the isolate may still tell what it did not spend, and give it back. */
	forgetAt: number;
}

/** A bucket, and who holds tokens of it. */
interface Account {
	readonly id: string;
	bucket: Bucket;
	/** The sum of what its grants hold. */
	held: number;
	readonly grants: Set<Grant>;
	/** What may still be held of an earlier life of the object, which these books have no grant for. */
	heldBefore: number;
}

/** A bucket as it is stored. */
export interface StoredBucket {
	readonly id: string;
	readonly level: number;
	readonly at: number;
	readonly quota: number;
	readonly windowMs: number;
	/** Tokens that isolates hold of it. */
	readonly held: number;
}

/** A bucket among those that a lane draws from. */
interface Drawing {
	readonly account: Account;
	readonly rule: BucketRule;
	/** What this lane has to leave for critical operations. */
	readonly reserve: number;
}

/** What an isolate asks of a lane, and what it is to get. */
interface LaneQuestion {
	readonly ask: LaneAsk;
	readonly grant: Grant;
	readonly drawings: readonly Drawing[];
	granted: number;
}

/**
 * A coordinator's books: the buckets, and who holds how much of them. Plain arithmetic with the time
 * as a parameter; the Durable Object stores what `takeChanges` names before an answer leaves it.
 *
 * A bucket and what is held of it are never more than its size, so the tokens spent anywhere are never
 * more than one bucket in one place would have allowed. Hence the order of things: a bucket is filled
 * before anyone's word is taken for what was spent of it, because until now it was held.
 */
export class Ledger {
	readonly #accounts = new Map<string, Account>();
	readonly #grants = new Map<string, Grant>();
	readonly #changed = new Set<string>();
	readonly #noneHeldFrom: number;

	/**
	 * @param stored what an earlier life of the object stored
	 * @param noneHeldFrom when the last lease of that life has ended
	 */
	constructor(stored: readonly StoredBucket[], noneHeldFrom: number) {
		this.#noneHeldFrom = noneHeldFrom;
		for (const { id, level, at, quota, windowMs, held: heldBefore } of stored) {
			const bucket = { policy: { quota, windowMs }, level, at };
			this.#accounts.set(id, { id, bucket, held: 0, grants: new Set(), heldBefore });
		}
	}

	/** Isolates times lanes. */
	get grants(): number {
		return this.#grants.size;
	}

	/** Grants what can be granted of each lane. */
	lease(
		{ holder, number, isComplete, lanes }: Omit<LeaseAsk, "configVersion">,
		config: TenantConfig,
		shard: Shard,
		now: number,
	): LaneAnswer[] {
		this.#dropEnded(now);
		if (this.#accounts.size > limits.bucketsPerTenant) this.#dropFull(now);
		const questions = lanes.map((ask) => {
			const question = this.#book(holder, ask, config, shard, now);
			const { grant } = question;
			if (number > grant.question) {
				grant.question = number;
				this.#takeStock(grant, ask, isComplete);
			}
			return question;
		});
		for (const question of questions) if (question.grant.isCritical) this.#grant(question, now);
		for (const question of questions) if (!question.grant.isCritical) this.#grant(question, now);
		// Only now is it known what is left: a refusal names a time at which nobody here comes first.
		return questions.map((question) => answerTo(question, shard));
	}

	/** What has changed since this was last asked: buckets to store, and the ids of those to forget. */
	takeChanges(): { readonly changed: StoredBucket[]; readonly dropped: string[] } {
		const changed: StoredBucket[] = [];
		const dropped: string[] = [];
		for (const id of this.#changed) {
			const account = this.#accounts.get(id);
			if (!account) dropped.push(id);
			else {
				const { bucket, heldBefore } = account;
				const held = account.held + heldBefore;
				changed.push({ id, level: bucket.level, at: bucket.at, ...bucket.policy, held });
			}
		}
		this.#changed.clear();
		return { changed, dropped };
	}

	#grant(question: LaneQuestion, now: number): void {
		const { grant, drawings, ask } = question;
		grant.target = Math.max(ask.need, ask.want + ask.held);
		grant.endsAt = now + limits.leaseTtlMs + limits.leaseGraceMs;
		grant.forgetAt = now + limits.leaseReportMs;
		const free = Math.min(...drawings.map(freeOf));
		const share = Math.min(...drawings.map((of) => shareOf(of, grant, now)));
		const granted = free < ask.need ? 0 : Math.min(wantedBy(ask), free, Math.max(ask.need, share));
		for (const { account } of drawings) account.bucket = take(account.bucket, granted);
		grant.granted += granted;
		grant.recent = recentOf(grant, now) + granted;
		grant.askedAt = now;
		this.#hold(grant, granted);
		question.granted = granted;
	}

	#book(
		holder: string,
		ask: LaneAsk,
		config: TenantConfig,
		shard: Shard,
		now: number,
	): LaneQuestion {
		const isCritical = mayTakeReserve(ask.lane);
		const drawings = rulesFor(ask.lane, config, shard).map((rule) => ({
			account: this.#accountOf(rule, now),
			rule,
			reserve: isCritical ? 0 : rule.reserve,
		}));
		const grant = this.#settle(`${holder} ${ask.lane.id}`, ask, drawings, isCritical, now);
		return { ask, grant, drawings, granted: 0 };
	}

	/** Brings the books up to what the isolate tells of its lane, and gives back what it gave back. */
	#settle(
		name: string,
		{ done, held, returned }: LaneAsk,
		drawings: readonly Drawing[],
		isCritical: boolean,
		now: number,
	): Grant {
		const known = this.#grants.get(name);
		if (!known) {
			// New, ended, or of an earlier life of this object: what it says it holds was taken then.
			const accounts = drawings.map(({ account }) => account);
			const counts = {
				granted: done + held,
				done,
				returned,
				foreign: 0,
				question: 0,
				target: 0,
				recent: 0,
			};
			const grant = { isCritical, accounts, ...counts, askedAt: 0, endsAt: 0, forgetAt: 0 };
			this.#grants.set(name, grant);
			for (const account of accounts) account.grants.add(grant);
			this.#hold(grant, held);
			return grant;
		}
		for (const account of known.accounts) this.#fill(account, now);
		const heldBefore = known.granted - known.done;
		const isForeign = known.done < known.foreign;
		const back = isForeign ? 0 : Math.min(Math.max(0, returned - known.returned), heldBefore);
		known.returned = Math.max(known.returned, returned);
		known.done = Math.max(known.done, done);
		this.#hold(known, known.granted - known.done - heldBefore);
		for (const account of known.accounts) account.bucket = giveBack(account.bucket, back);
		return known;
	}

	/** What a holder says that it has, if this is the newest that it said. */
	#takeStock(grant: Grant, { held }: LaneAsk, isComplete: boolean): void {
		const difference = grant.done + held - grant.granted;
		if (difference < 0 && !isComplete) return;
		grant.granted += difference;
		this.#hold(grant, difference);
		// More: it was granted in an earlier life of this object. Less: in an answer that never came.
		if (difference > 0 || grant.done < grant.foreign) return;
		for (const account of grant.accounts) account.bucket = giveBack(account.bucket, -difference);
	}

	#hold(grant: Grant, tokens: number): void {
		for (const account of grant.accounts) {
			account.held += tokens;
			this.#changed.add(account.id);
		}
	}

	/** The rule's bucket as it is now. */
	#accountOf({ id, policy }: BucketRule, now: number): Account {
		const known = this.#accounts.get(id);
		if (known) {
			this.#fill(known, now);
			const { quota, windowMs } = known.bucket.policy;
			if (quota !== policy.quota || windowMs !== policy.windowMs) {
				known.bucket = resized(known.bucket, policy);
				for (const grant of known.grants) grant.foreign = grant.granted;
			}
			return known;
		}
		const bucket = fullBucket(policy, now);
		const account = { id, bucket, held: 0, grants: new Set<Grant>(), heldBefore: 0 };
		this.#accounts.set(id, account);
		return account;
	}

	/** What was held all the while takes up room; of an earlier life, until its leases have ended. */
	#fill(account: Account, now: number): void {
		if (account.heldBefore > 0) {
			const until = Math.min(now, this.#noneHeldFrom);
			account.bucket = filled(account.bucket, until, account.held + account.heldBefore);
			if (now >= this.#noneHeldFrom) account.heldBefore = 0;
		}
		account.bucket = filled(account.bucket, now, account.held + account.heldBefore);
	}

	/** A full bucket that nobody draws from is as good as one that was never there. */
	#dropFull(now: number): void {
		for (const [id, account] of this.#accounts) {
			if (account.grants.size > 0) continue;
			this.#fill(account, now);
			const { level, policy } = account.bucket;
			if (level < policy.quota * policy.windowMs) continue;
			this.#accounts.delete(id);
			this.#changed.add(id);
		}
	}

	#dropEnded(now: number): void {
		for (const [name, grant] of this.#grants) {
			if (grant.forgetAt > now) continue;
			this.#grants.delete(name);
			for (const account of grant.accounts) {
				this.#fill(account, now);
				account.grants.delete(grant);
			}
			this.#hold(grant, grant.done - grant.granted);
		}
	}
}

function wantedBy({ need, want }: LaneAsk): number {
	return Math.max(need, want);
}

function answerTo({ ask, drawings, granted }: LaneQuestion, shard: Shard): LaneAnswer {
	return {
		lane: ask.lane.id,
		granted,
		refusal: granted < ask.need ? refusal(drawings, ask.need) : null,
		pauseMs: granted < wantedBy(ask) ? pause(drawings) : 0,
		limit: tightest(drawings, shard),
	};
}

function freeOf({ account, reserve }: Drawing): number {
	return available(account.bucket, reserve);
}

/**
 * What is there and what was granted of late, divided among those who draw from it by what they want
 * of it, less what this one was granted of late: who came first gets no more than who comes next.
 * Critical operations share with each other, and leave what they do not want.
 */
function shareOf(drawing: Drawing, grant: Grant, now: number): number {
	const claims: number[] = [];
	let pool = freeOf(drawing);
	for (const other of drawing.account.grants) {
		if (other !== grant && other.askedAt + limits.leaseClaimMs <= now) continue;
		if (grant.isCritical && !other.isCritical) continue;
		const recent = recentOf(other, now);
		pool += recent;
		claims.push(recent + 2 * other.target); // it may grow as much until they come again
	}
	const share = fairShare(pool, claims) - recentOf(grant, now);
	return Math.max(0, Math.floor(share));
}

function recentOf({ recent, askedAt }: Grant, now: number): number {
	return recent * 2 ** ((askedAt - now) / limits.leaseMemoryMs);
}

/** How long whoever got less than they wanted is to make do with it. */
function pause(drawings: readonly Drawing[]): number {
	const left = Math.min(...drawings.map(freeOf));
	// What is left is for others, who come for it as often; if they do not come, it is soon free again.
	const inflow = Math.max(
		...drawings.map(({ rule: { policy } }) => policy.quota / policy.windowMs),
	);
	if (left > 4 * inflow * limits.leasePauseMs) return limits.leaseShortPauseMs;
	if (left >= tokenParts) return limits.leasePauseMs;
	return Math.max(limits.leasePauseMs, refusal(drawings, tokenParts).waitMs);
}

function refusal(drawings: readonly Drawing[], need: number): Refusal {
	let longest: Refusal = { bucket: "", waitMs: -1 };
	for (const { account, rule, reserve } of drawings) {
		const wait = waitMs(account.bucket, need, reserve);
		if (wait === Number.POSITIVE_INFINITY) return { bucket: rule.name, waitMs: -1 };
		// While others hold most of a small bucket it does not fill: their leases end first.
		const room = rule.policy.quota - account.held - account.heldBefore - reserve;
		const blocked = room < need ? limits.leaseTtlMs + limits.leaseGraceMs : 0;
		const waitHere = Math.max(wait, blocked);
		if (wait > 0 && waitHere > longest.waitMs) longest = { bucket: rule.name, waitMs: waitHere };
	}
	return longest;
}

/** The bucket that has the least left for this lane, as the RateLimit headers tell it. */
function tightest(drawings: readonly Drawing[], { count }: Shard): LimitState {
	const [first, ...others] = drawings;
	if (!first) throw new Error("a lane draws from no bucket");
	const drawing = others.reduce((least, of) => (freeOf(of) < freeOf(least) ? of : least), first);
	const { quota, windowMs } = drawing.rule.policy;
	return {
		name: drawing.rule.name,
		quota: Math.round((quota * count) / tokenParts),
		windowSeconds: windowMs / 1000,
		remaining: Math.floor((freeOf(drawing) * count) / tokenParts),
		resetMs: waitMs(drawing.account.bucket, quota),
	};
}

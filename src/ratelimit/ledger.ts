import type { TenantConfig } from "../config/schema.ts";
import * as limits from "../limits.ts";
import {
	type Account,
	type Drawing,
	freeOf,
	type Grant,
	limitOf,
	pause,
	recentOf,
	refusal,
	shareOf,
	tightest,
} from "./account.ts";
import { filled, fullBucket, giveBack, raised, resized, take } from "./bucket.ts";
import type { LaneAnswer, LaneAsk, LeaseAsk } from "./messages.ts";
import { type BucketRule, mayTakeReserve, rulesFor, type Shard } from "./policy.ts";

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

/** What an isolate asks of a lane, and what it is to get. */
interface LaneQuestion {
	readonly ask: LaneAsk;
	readonly grant: Grant;
	readonly drawings: readonly Drawing[];
	/** What is in hand was granted of other buckets. */
	readonly isForeign: boolean;
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
	/** The latest grant of each lane. */
	readonly #lanes = new Map<string, Grant>();
	/** Those whose leases have ended: their isolates may come back with what they did not spend. */
	readonly #ended = new Map<string, Grant>();
	/** The latest question of each isolate, and when it was asked. */
	readonly #latest = new Map<string, { readonly number: number; readonly at: number }>();
	readonly #changed = new Set<string>();
	readonly #noneHeldFrom: number;
	#releasedAt = 0;

	/**
	 * @param stored what an earlier life of the object stored
	 * @param noneHeldFrom when the last lease of that life has ended
	 */
	constructor(stored: readonly StoredBucket[], noneHeldFrom: number) {
		this.#noneHeldFrom = noneHeldFrom;
		for (const { id, level, at, quota, windowMs, held: heldBefore } of stored) {
			const bucket = { policy: { quota, windowMs }, level, at };
			this.#accounts.set(id, {
				id,
				bucket,
				held: 0,
				grants: new Set(),
				wanted: 0,
				heldBefore,
				ended: 0,
			});
		}
	}

	/** Whether there is room for the lanes of one more isolate. */
	hasRoom(now: number): boolean {
		this.#release(now);
		return this.#grants.size <= limits.leaseGrants - limits.lanesPerAsk;
	}

	/** Grants what can be granted of each lane. */
	lease(
		{ holder, number, isComplete, lanes }: Omit<LeaseAsk, "configVersion" | "epoch">,
		config: TenantConfig,
		shard: Shard,
		now: number,
	): LaneAnswer[] {
		this.#release(now);
		// One that was overtaken tells what held once, and is asked again where it still matters.
		if (number <= (this.#latest.get(holder)?.number ?? 0)) return [];
		this.#latest.delete(holder);
		this.#latest.set(holder, { number, at: now });
		const questions = lanes.map((ask) => {
			const question = this.#book(holder, ask, config, shard, now);
			this.#takeStock(question, isComplete);
			// And is worth nothing to these when it is given back.
			if (question.isForeign) question.grant.foreign = question.grant.granted;
			return question;
		});
		// Who waits comes before what may be wanted soon, and then what is critical.
		const rankOf = ({ ask, grant }: LaneQuestion) =>
			2 * Number(ask.need > 0) + Number(grant.isCritical);
		for (const question of questions.toSorted((a, b) => rankOf(b) - rankOf(a))) {
			this.#grant(question, now);
		}
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
		this.#want(grant, Math.max(ask.need, ask.want + ask.held));
		grant.endsAt = now + limits.leaseMs;
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
		// Of other buckets than before it is another grant: a limit that is new must know what is held of it.
		const lane = `${holder} ${ask.generation} ${ask.lane.id}`;
		const buckets = drawings.map(({ rule }) => rule.id).join();
		const before = this.#lanes.get(lane);
		const grant = this.#settle({ lane, buckets }, ask, drawings, isCritical, now);
		this.#lanes.set(lane, grant);
		const isForeign = before !== undefined && before !== grant;
		return { ask, grant, drawings, isForeign, granted: 0 };
	}

	/** Brings the books up to what the isolate tells of its lane, and gives back what it gave back. */
	#settle(
		{ lane, buckets }: { readonly lane: string; readonly buckets: string },
		{ done, held, returned }: LaneAsk,
		drawings: readonly Drawing[],
		isCritical: boolean,
		now: number,
	): Grant {
		const name = `${lane} ${buckets}`;
		const known = this.#grants.get(name);
		if (!known) {
			const ended = this.#ended.get(name);
			if (ended) this.#takeBackLate(name, ended, returned, now);
			// New, ended, or of an earlier life of this object: what it says it holds was taken then.
			const accounts = drawings.map(({ account }) => account);
			const counts = {
				granted: done + held,
				done,
				returned,
				foreign: 0,
				target: 0,
				recent: 0,
			};
			const grant = { lane, isCritical, accounts, ...counts, askedAt: 0, endsAt: 0 };
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

	/** What was not spent of a lease that had ended, as far as nothing has filled its place. */
	#takeBackLate(name: string, grant: Grant, returned: number, now: number): void {
		this.#ended.delete(name);
		if (grant.done < grant.foreign) return;
		const back = Math.min(Math.max(0, returned - grant.returned), grant.granted - grant.done);
		for (const account of grant.accounts) {
			this.#fill(account, now);
			const parts = Math.min(back * account.bucket.policy.windowMs, account.ended);
			account.ended -= parts;
			account.bucket = raised(account.bucket, parts);
			this.#changed.add(account.id);
		}
	}

	/** What a holder says that it has: `isComplete` when there is no more on its way. */
	#takeStock({ grant, ask }: LaneQuestion, isComplete: boolean): void {
		const difference = grant.done + ask.held - grant.granted;
		if (difference < 0 && !isComplete) return;
		grant.granted += difference;
		this.#hold(grant, difference);
		// More: it was granted in an earlier life of this object. Less: in an answer that never came.
		if (difference > 0 || grant.done < grant.foreign) return;
		for (const account of grant.accounts) account.bucket = giveBack(account.bucket, -difference);
	}

	#want(grant: Grant, target: number): void {
		for (const account of grant.accounts) account.wanted += target - grant.target;
		grant.target = target;
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
				known.ended = 0;
				for (const grant of known.grants) grant.foreign = grant.granted;
			}
			return known;
		}
		const bucket = fullBucket(policy, now);
		const grants = new Set<Grant>();
		const account = { id, bucket, held: 0, grants, wanted: 0, heldBefore: 0, ended: 0 };
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
		const held = account.held + account.heldBefore;
		account.bucket = filled(account.bucket, now, held);
		if (account.ended === 0) return;
		const { level, policy } = account.bucket;
		const room = (policy.quota - held) * policy.windowMs - level;
		account.ended = Math.max(0, Math.min(account.ended, room));
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

	/** Lets go of what can not be spent any more: the bucket may fill over it, and what did not can come back. */
	#release(now: number): void {
		if (now < this.#releasedAt + limits.leaseReleaseMs) return;
		this.#releasedAt = now;
		for (const [name, grant] of this.#grants) {
			if (grant.endsAt > now) continue;
			this.#grants.delete(name);
			if (this.#lanes.get(grant.lane) === grant) this.#lanes.delete(grant.lane);
			this.#ended.set(name, grant);
			const held = grant.granted - grant.done;
			for (const account of grant.accounts) {
				this.#fill(account, grant.endsAt);
				account.grants.delete(grant);
				account.wanted -= grant.target;
				if (grant.done >= grant.foreign) account.ended += held * account.bucket.policy.windowMs;
			}
			this.#hold(grant, -held);
		}
		for (const [name, { endsAt }] of this.#ended) {
			const isMany = this.#ended.size > limits.leaseGrants;
			if (endsAt + limits.leaseReportMs > now && !isMany) break;
			this.#ended.delete(name);
		}
		for (const [holder, { at }] of this.#latest) {
			if (at + limits.leaseReportMs > now) break;
			this.#latest.delete(holder);
		}
		if (this.#accounts.size > limits.bucketsPerTenant) this.#dropFull(now);
	}
}

function wantedBy({ need, want }: LaneAsk): number {
	return Math.max(need, want);
}

function answerTo({ ask, drawings, granted }: LaneQuestion, shard: Shard): LaneAnswer {
	return {
		lane: ask.lane.id,
		granted,
		refusal: granted < ask.need ? refusal(drawings, ask.need, shard) : null,
		pauseMs: granted < wantedBy(ask) ? pause(drawings, shard) : 0,
		limit: limitOf(tightest(drawings), shard),
	};
}

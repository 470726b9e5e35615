import type { TenantConfig } from "../config/schema.ts";
import { toHex } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Background } from "../lib/within.ts";
import * as limits from "../limits.ts";
import {
	forgetPause,
	freshLane,
	handBack,
	isPromised,
	isSpentOut,
	isUntold,
	isWorthTelling,
	keptUntil,
	type LaneState,
	receive,
	refusalOf,
	retryMs,
	sourceOf,
	withHand,
} from "./lane.ts";
import type { LeaseAnswer, LeaseAsk, LimitState } from "./messages.ts";
import { type Lane, tokenParts } from "./policy.ts";
import { type Asked, askFor } from "./question.ts";
import {
	dropIdle,
	freshTenant,
	isAsking,
	leastNeeded,
	noneUnanswered,
	type Question,
	type TenantState,
} from "./tenant.ts";

export interface LeaseBookOptions {
	readonly clock: Clock;
	readonly random: Random;
	/** Asks the tenant's coordinator. Rejects when it does not answer in time. */
	readonly ask: (tenant: string, config: TenantConfig, ask: LeaseAsk) => Promise<LeaseAnswer>;
	/** Waits as long as that. A request of an isolate may only wait on something of its own. */
	readonly sleep: (milliseconds: number) => Promise<void>;
	/** The epoch moved, or was not known before: what is remembered of the tenant may be old. */
	readonly forgetTenant: (tenant: string) => void;
	/** Told how the coordinator answers. */
	readonly onAnswer?: (outcome: "ok" | "slow" | "failed") => void;
}

export interface Price {
	/** In hundredths of a token. */
	readonly cost: number;
	/** Nothing is spent: it is only looked whether as much is there. */
	readonly isLook?: boolean;
}

/** Why there is no lease. */
export type NoLease =
	| { readonly kind: "unknown_tenant" }
	| { readonly kind: "unavailable"; readonly retryMs: number };

export type Spending =
	| { readonly kind: "spent"; readonly limit: LimitState }
	| {
			readonly kind: "refused";
			/** The bucket that has not enough. */
			readonly limit: LimitState;
			/** -1 when that bucket never holds as much. */
			readonly retryMs: number;
	  }
	| NoLease;

export interface Term {
	readonly epoch: number;
	readonly config: TenantConfig;
}

/** About: what is known of a tenant, its configuration too; and of each lane. */
const tenantBytes = 2 * 1024;
const laneBytes = 512;

/**
 * The isolate's side of leases: spends from memory, asks the coordinator when that does not do, and
 * renews ahead in the background. Nothing is granted that no lease covers, and no failure is a yes.
 */
export class LeaseBook {
	readonly #options: LeaseBookOptions;
	readonly #tenants = new Map<string, TenantState>();
	#lives = 0;
	/** Of all tenants. */
	#laneCount = 0;

	constructor(options: LeaseBookOptions) {
		this.#options = options;
	}

	/** About what it holds. */
	get bytes(): number {
		return tenantBytes * this.#tenants.size + laneBytes * this.#laneCount;
	}

	/** The living lease of a tenant, without a question to anyone. */
	termNow(tenant: string): Term | null {
		const state = this.#tenants.get(tenant);
		return state && state.endsAt > this.#options.clock() ? state : null;
	}

	/** The epoch under which the tenant's cache entries were read; null when there is none. */
	epochOf(tenant: string): number | null {
		return this.#tenants.get(tenant)?.epoch ?? null;
	}

	/**
	 * The epoch of the living lease, for reading what others have read under it. Null where there is none;
	 * where it is one that this isolate knows to be over, which a shard lends for a while longer; and while
	 * a change is announced, because it may be made already.
	 */
	sharedEpoch(tenant: string): number | null {
		const state = this.#tenants.get(tenant);
		if (!state || state.endsAt <= this.#options.clock() || state.isChanging) return null;
		return state.epoch > state.endedEpoch ? state.epoch : null;
	}

	/** Another one when this isolate has made a change since: what a request read before then is over. */
	lifeOf(tenant: string): number {
		return this.#tenants.get(tenant)?.life ?? 0;
	}

	/**
	 * Ends the tenant's lease here, because this isolate made a change. Tokens in hand stay.
	 * @param epoch the one that came of it; left out where that is not known yet
	 */
	end(tenant: string, epoch?: number): void {
		const state = this.#stateOf(tenant);
		state.endsAt = 0;
		state.endedAt = this.#options.clock();
		state.endedEpoch = Math.max(state.endedEpoch, epoch === undefined ? state.epoch : epoch - 1);
		state.life = ++this.#lives;
	}

	/** The living lease of a tenant, asked for where there is none. */
	async term(tenant: string): Promise<Term | NoLease> {
		const state = this.#stateOf(tenant);
		return this.#until(tenant, state, { lanes: [], need: 0 }, () =>
			state.endsAt > this.#options.clock() ? snapshot(state) : null,
		);
	}

	/**
	 * Whether what was read under `epoch` still holds: the lease lives, or is renewed, and its epoch
	 * is the same. Looked at when an answer is about to be released.
	 */
	async stillHolds(tenant: string, epoch: number): Promise<boolean> {
		const now = this.termNow(tenant) ?? (await this.term(tenant));
		return "epoch" in now && now.epoch === epoch;
	}

	/** Spends from memory where that decides; null when the coordinator has to be asked. */
	spendNow(tenant: string, lane: Lane, price: Price, background: Background): Spending | null {
		const state = this.#tenants.get(tenant);
		if (!state) return null;
		const of = this.#laneOf(state, lane);
		if (!price.isLook) of.demand += price.cost;
		const decided = this.#decide(state, of, price);
		if (decided && this.#wantsRenewal(state, of)) {
			background(this.#ask(tenant, state, [of]).catch(() => {}));
		}
		return decided;
	}

	/** Spends, and asks the coordinator where there is not enough. After `spendNow` answered null. */
	async spend(tenant: string, lane: Lane, price: Price, background: Background): Promise<Spending> {
		const state = this.#stateOf(tenant);
		const of = this.#laneOf(state, lane);
		of.waiting += price.cost;
		try {
			return await this.#until(tenant, state, { lanes: [of], need: price.cost }, () =>
				this.#decide(state, of, price),
			);
		} finally {
			of.waiting -= price.cost;
			// What was asked for is spent: where it is much of the bucket, other isolates wait for its room.
			if (isSpentOut(of) && !isAsking(state, this.#options.clock())) {
				background(this.#ask(tenant, state, [of]).catch(() => {}));
			}
		}
	}

	/**
	 * Asks, or waits for whoever of this isolate is asking, until there is a decision. It waits by looking
	 * again: a promise that another request settles would be tied to that request.
	 */
	async #until<T>(
		tenant: string,
		state: TenantState,
		{ lanes, need }: { readonly lanes: readonly LaneState[]; readonly need: number },
		decide: () => T | null,
	): Promise<T | NoLease> {
		const { clock, sleep } = this.#options;
		const giveUpAt = clock() + limits.leaseTimeoutMs;
		let mayFail = true;
		for (let poll = 0; poll < limits.leasePolls; poll++) {
			const decided = decide();
			if (decided !== null) return decided;
			const now = clock();
			if (state.failedUntil > now || now >= giveUpAt) break;
			if (this.#tenants.get(tenant) !== state) break; // it had to make room: no answer is taken for it
			if (state.asking && now - state.asking.since < limits.leaseFollowMs) {
				await sleep(limits.leasePollMs);
				continue;
			}
			const answer = await this.#ask(tenant, state, lanes, need).catch(() => null);
			// An object that was just restarted fails fast, and once. One that is slow is not asked again.
			if (answer === null && mayFail && clock() - now < limits.leaseSlowMs) {
				mayFail = false;
				await sleep(limits.leaseFailurePauseMs);
				continue;
			}
			if (answer?.kind === "unknown_tenant") return answer;
			if (answer?.kind !== "lease") break;
		}
		const decided = decide();
		if (decided !== null) return decided;
		return { kind: "unavailable", retryMs: Math.max(0, state.failedUntil - clock()) };
	}

	#decide(state: TenantState, of: LaneState, { cost, isLook }: Price): Spending | null {
		const now = this.#options.clock();
		if (state.endsAt <= now) return null;
		if (of.endsAt > now && of.tokens >= cost) {
			const spent = isLook ? 0 : cost;
			of.tokens -= spent;
			of.done += spent;
			return { kind: "spent", limit: withHand(of, of.limit) };
		}
		const { refused } = of;
		if (!refused || now >= refused.until || isUntold(of, now)) return null;
		if (refused.cost !== null && cost < refused.cost) return null;
		const limit = refusalOf(of, refused.limit, cost);
		const wait = retryMs(of, cost, now);
		// Who was told a time is not to come too early: what moves that does not move it.
		if (refused.cost === null && wait >= 0) {
			const until = now + wait;
			of.refused = { ...refused, cost, until, keptUntil: keptUntil(until, now) };
		}
		return { kind: "refused", limit, retryMs: wait };
	}

	#wantsRenewal(state: TenantState, of: LaneState): boolean {
		const now = this.#options.clock();
		if (isAsking(state, now)) return false;
		if (now >= state.renewAt || isSpentOut(of)) return true;
		if (isUntold(of, now)) return of.tokens < tokenParts;
		if (of.refused && now < of.refused.until) return isWorthTelling(of, now);
		if (of.tokens >= of.pace * limits.leaseHorizonMs * 0.3) return false;
		// It would get nothing while somebody of its token was told when to come, and ask again at once.
		const isAnothers = (other: LaneState) =>
			sourceOf(other) === sourceOf(of) && isPromised(other, now);
		return of.lane.token === null || ![...state.lanes.values()].some(isAnothers);
	}

	/** One question, for the lanes in need and all others that were used of late. */
	async #ask(
		tenant: string,
		state: TenantState,
		first: readonly LaneState[],
		need = 0,
	): Promise<LeaseAnswer> {
		const { clock, ask, onAnswer } = this.#options;
		const askedAt = clock();
		const question = { number: ++state.questions, since: askedAt, answersBefore: state.answers };
		const isComplete = noneUnanswered(state, askedAt);
		state.asking = question;
		state.unanswered.add(question);
		try {
			const asked = askFor([...state.lanes.values()], first, need, askedAt);
			const { holder, configVersion, config } = state;
			const answer = await ask(tenant, config, {
				holder,
				configVersion,
				epoch: Math.max(state.epoch, state.endedEpoch + 1),
				number: question.number,
				isComplete,
				lanes: [...asked.values()].map((of) => of.ask),
			});
			if (answer.kind === "overloaded") {
				state.failedUntil = clock() + limits.leaseFailurePauseMs;
				onAnswer?.("failed");
				return answer;
			}
			if (answer.kind === "unknown_tenant") this.#forget(tenant);
			if (answer.kind === "lease") this.#apply(tenant, state, answer, question, asked);
			onAnswer?.(clock() - askedAt > limits.leaseSlowMs ? "slow" : "ok");
			return answer;
		} catch (error) {
			state.failedUntil = clock() + limits.leaseFailurePauseMs;
			onAnswer?.("failed");
			throw error;
		} finally {
			state.unanswered.delete(question);
			if (state.asking === question) state.asking = null;
		}
	}

	#apply(
		tenant: string,
		state: TenantState,
		answer: Extract<LeaseAnswer, { kind: "lease" }>,
		question: Question,
		asked: ReadonlyMap<string, Asked>,
	): void {
		const { clock, forgetTenant } = this.#options;
		const { since: askedAt } = question;
		// An answer that was overtaken by one of a later epoch tells nothing that still holds.
		if (answer.epoch < state.epoch || this.#tenants.get(tenant) !== state) return;
		if (!state.unanswered.has(question)) return;
		if (answer.epoch > state.epoch) {
			forgetTenant(tenant);
			state.epoch = answer.epoch;
			state.endsAt = 0;
			state.newestAnswer = 0;
		}
		if (question.number > state.newestAnswer) state.isChanging = answer.isChanging;
		state.newestAnswer = Math.max(state.newestAnswer, question.number);
		if (askedAt >= state.endedAt) state.endsAt = Math.max(state.endsAt, askedAt + answer.ttlMs);
		state.renewAt = Math.max(
			state.renewAt,
			askedAt + Math.min(limits.leaseRenewMs, answer.ttlMs / 2),
		);
		if (answer.config) {
			state.config = answer.config;
			for (const of of state.lanes.values()) handBack(of); // what was granted under other limits
			state.configVersion = answer.configVersion;
		}
		const now = clock();
		const endsAt = askedAt + answer.ttlMs;
		const knowsAll = question.answersBefore === state.answers;
		state.answers++;
		const taken = new Set<string>();
		for (const laneAnswer of answer.lanes) {
			const of = state.lanes.get(laneAnswer.lane);
			const own = asked.get(laneAnswer.lane);
			if (!of || !own) continue;
			const { need, ask } = own;
			receive(of, laneAnswer, { need, told: ask.done, endsAt, knowsAll, now });
			if (laneAnswer.granted > 0) taken.add(sourceOf(of));
		}
		// The others of a token were told of the time before this was taken.
		for (const of of state.lanes.values()) {
			if (taken.has(sourceOf(of)) && !asked.has(of.lane.id)) forgetPause(of);
		}
	}

	#laneOf(state: TenantState, lane: Lane): LaneState {
		const known = state.lanes.get(lane.id);
		if (known) return known;
		const now = this.#options.clock();
		const { size: before } = state.lanes;
		if (before >= limits.lanesPerTenant) dropIdle(state, now);
		const fresh = freshLane(lane, ++state.lanesMade, now);
		state.lanes.set(lane.id, fresh);
		this.#laneCount += state.lanes.size - before;
		if (this.bytes > limits.memoryLeasesBytes) this.#makeRoom(state);
		return fresh;
	}

	#stateOf(tenant: string): TenantState {
		const known = this.#tenants.get(tenant);
		if (known) return known;
		if (this.#tenants.size >= limits.leaseTenants) this.#makeRoom();
		const fresh = freshTenant(toHex(this.#options.random(8)), ++this.#lives);
		this.#tenants.set(tenant, fresh);
		return fresh;
	}

	/** Another tenant goes than the one that room is made for. */
	#makeRoom(but?: TenantState): void {
		const tenant = leastNeeded(this.#tenants, this.#options.clock(), but);
		if (tenant !== undefined) this.#forget(tenant);
	}

	/** With the lease goes what was read under it: nobody would hear that it is old. */
	#forget(tenant: string): void {
		this.#laneCount -= this.#tenants.get(tenant)?.lanes.size ?? 0;
		this.#tenants.delete(tenant);
		this.#options.forgetTenant(tenant);
	}
}

function snapshot({ epoch, config }: TenantState): Term {
	return { epoch, config };
}

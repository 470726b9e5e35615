import { defaultConfig, type TenantConfig } from "../config/schema.ts";
import { toHex } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { limits } from "../limits.ts";
import type { LaneAsk, LeaseAnswer, LeaseAsk, LimitState } from "./messages.ts";
import { type Lane, tokenParts } from "./policy.ts";

/** Runs what need not be waited for; it may be given up at any time. */
export type Background = (work: Promise<unknown>) => void;

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

/** Why there is no lease. */
export type NoLease =
	| { readonly kind: "unknown_tenant" }
	| { readonly kind: "unavailable"; readonly retryMs: number };

export type Spending =
	| { readonly kind: "spent"; readonly limit: LimitState }
	| {
			readonly kind: "refused";
			readonly limit: LimitState;
			/** The bucket that has not enough. */
			readonly bucket: string;
			/** -1 when that bucket never holds as much. */
			readonly retryMs: number;
	  }
	| NoLease;

export interface Term {
	readonly epoch: number;
	readonly config: TenantConfig;
}

/** What an isolate has of one lane. */
interface LaneState {
	readonly lane: Lane;
	tokens: number;
	/** Its tokens lapse then, however long the term is. */
	endsAt: number;
	done: number;
	returned: number;
	/** What the requests cost that wait for an answer. */
	waiting: number;
	/** Asked for since `demandFrom`, granted or not. */
	demand: number;
	demandFrom: number;
	/** Hundredths of a token per millisecond, of late. */
	pace: number;
	/**
	 * What the coordinator said no to: what costs as much is refused here until then. `cost` is null where
	 * it gave less than was wanted: what is in hand can be spent, and a token more will be there then.
	 */
	refused: { readonly cost: number | null; readonly until: number; readonly bucket: string } | null;
	limit: LimitState;
}

/** What an isolate has of one tenant. */
interface TenantState {
	readonly holder: string;
	readonly lanes: Map<string, LaneState>;
	epoch: number;
	endsAt: number;
	/** When it was ended early: what was asked for before tells nothing any more. */
	endedAt: number;
	renewAt: number;
	configVersion: number;
	config: TenantConfig;
	/** The question under way, if any: settles when it is answered, unless its request was cut off. */
	asking: { readonly answered: Promise<void>; readonly since: number } | null;
	failedUntil: number;
}

/**
 * The isolate's side of leases: spends from memory, asks the coordinator when that does not do, and
 * renews ahead in the background. Nothing is granted that no lease covers, and no failure is a yes.
 */
export class LeaseBook {
	readonly #options: LeaseBookOptions;
	readonly #tenants = new Map<string, TenantState>();

	constructor(options: LeaseBookOptions) {
		this.#options = options;
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

	/** Ends the tenant's lease here: this isolate knows that the epoch has moved. Tokens in hand stay. */
	end(tenant: string): void {
		const state = this.#tenants.get(tenant);
		if (!state) return;
		state.endsAt = 0;
		state.endedAt = this.#options.clock();
	}

	/** The living lease of a tenant, asked for where there is none. */
	async term(tenant: string): Promise<Term | NoLease> {
		const state = this.#stateOf(tenant);
		return this.#until(tenant, state, [], () =>
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
	spendNow(tenant: string, lane: Lane, cost: number, background: Background): Spending | null {
		const state = this.#tenants.get(tenant);
		if (!state) return null;
		const of = this.#laneOf(state, lane);
		of.demand += cost;
		const decided = this.#decide(state, of, cost);
		if (decided && this.#wantsRenewal(state, of)) {
			background(this.#ask(tenant, state, [of]).catch(() => {}));
		}
		return decided;
	}

	/** Spends, and asks the coordinator where there is not enough. After `spendNow` answered null. */
	async spend(tenant: string, lane: Lane, cost: number): Promise<Spending> {
		const state = this.#stateOf(tenant);
		const of = this.#laneOf(state, lane);
		of.waiting += cost;
		try {
			return await this.#until(tenant, state, [{ of, cost }], () => this.#decide(state, of, cost));
		} finally {
			of.waiting -= cost;
		}
	}

	/** Asks, or waits for whoever of this isolate is asking, until there is a decision. */
	async #until<T>(
		tenant: string,
		state: TenantState,
		needs: readonly { readonly of: LaneState; readonly cost: number }[],
		decide: () => T | null,
	): Promise<T | NoLease> {
		const { clock, sleep } = this.#options;
		for (let attempt = 0; attempt < limits.leaseAttempts; attempt++) {
			const decided = decide();
			if (decided !== null) return decided;
			const now = clock();
			if (state.failedUntil > now) break;
			if (state.asking && now - state.asking.since < limits.leaseFollowMs) {
				await Promise.race([state.asking.answered, sleep(limits.leaseFollowMs)]);
				continue;
			}
			const lanes = needs.map(({ of }) => of);
			const answer = await this.#ask(tenant, state, lanes, needs[0]?.cost).catch(() => null);
			// An object that was just restarted fails fast, and once. One that is slow is not asked again.
			const isQuick = clock() - now < limits.leaseSlowMs && attempt === 0;
			if (answer === null && isQuick) {
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

	#decide(state: TenantState, of: LaneState, cost: number): Spending | null {
		const now = this.#options.clock();
		if (state.endsAt <= now) return null;
		if (of.endsAt > now && of.tokens >= cost) {
			of.tokens -= cost;
			of.done += cost;
			return { kind: "spent", limit: withHand(of) };
		}
		const { refused } = of;
		if (!refused || now >= refused.until) return null;
		if (refused.cost !== null && cost < refused.cost) return null;
		const { bucket } = refused;
		return { kind: "refused", limit: withHand(of), bucket, retryMs: retryMs(of, cost, now) };
	}

	#wantsRenewal(state: TenantState, of: LaneState): boolean {
		const now = this.#options.clock();
		if (state.asking && now - state.asking.since < limits.leaseTimeoutMs) return false;
		if (state.failedUntil > now) return false;
		if (now >= state.renewAt) return true;
		if (of.refused && now < of.refused.until) return false;
		return of.tokens < of.pace * limits.leaseHorizonMs * 0.3;
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
		const { promise: answered, resolve: settle } = Promise.withResolvers<void>();
		state.asking = { answered, since: askedAt };
		const asking = state.asking;
		try {
			const used = [...state.lanes.values()].filter((of) => of.demand > 0 && !first.includes(of));
			const lanes = [...first, ...used].slice(0, limits.lanesPerAsk);
			const asks = lanes.map((of, index) =>
				prepareAsk(of, index < first.length ? need : 0, askedAt),
			);
			const { holder, configVersion, config } = state;
			const answer = await ask(tenant, config, { holder, configVersion, lanes: asks });
			if (answer.kind === "overloaded") {
				state.failedUntil = clock() + limits.leaseFailurePauseMs;
				onAnswer?.("failed");
				return answer;
			}
			if (answer.kind === "unknown_tenant") this.#forget(tenant);
			if (answer.kind === "lease") this.#apply(tenant, state, answer, askedAt, need);
			onAnswer?.(clock() - askedAt > limits.leaseSlowMs ? "slow" : "ok");
			return answer;
		} catch (error) {
			state.failedUntil = clock() + limits.leaseFailurePauseMs;
			onAnswer?.("failed");
			throw error;
		} finally {
			if (state.asking === asking) state.asking = null;
			settle();
		}
	}

	#apply(
		tenant: string,
		state: TenantState,
		answer: Extract<LeaseAnswer, { kind: "lease" }>,
		askedAt: number,
		need: number,
	): void {
		const { clock, forgetTenant } = this.#options;
		// An answer that was overtaken by one of a later epoch tells nothing that still holds.
		if (answer.epoch < state.epoch || this.#tenants.get(tenant) !== state) return;
		if (answer.epoch > state.epoch) {
			forgetTenant(tenant);
			state.epoch = answer.epoch;
			state.endsAt = 0;
		}
		if (askedAt >= state.endedAt) state.endsAt = Math.max(state.endsAt, askedAt + answer.ttlMs);
		state.renewAt = Math.max(
			state.renewAt,
			askedAt + Math.min(limits.leaseRenewMs, answer.ttlMs / 2),
		);
		if (answer.config && answer.configVersion >= state.configVersion) {
			state.config = answer.config;
			for (const of of state.lanes.values()) handBack(of); // what was granted under other limits
			state.configVersion = answer.configVersion;
		}
		const now = clock();
		for (const { lane, granted, refusal, pauseMs, limit } of answer.lanes) {
			const of = state.lanes.get(lane);
			if (!of) continue;
			of.tokens += granted;
			of.endsAt = Math.max(of.endsAt, askedAt + answer.ttlMs);
			of.limit = limit;
			if (refusal) {
				const until = refusal.waitMs < 0 ? Infinity : now + Math.max(refusal.waitMs, pauseMs);
				of.refused = { cost: need, until, bucket: refusal.bucket };
			} else {
				const until = now + pauseMs;
				of.refused = pauseMs > 0 ? { cost: null, until, bucket: limit.name } : null;
			}
		}
	}

	#laneOf(state: TenantState, lane: Lane): LaneState {
		const known = state.lanes.get(lane.id);
		if (known) return known;
		const now = this.#options.clock();
		const fresh: LaneState = {
			lane,
			tokens: 0,
			endsAt: 0,
			done: 0,
			returned: 0,
			waiting: 0,
			demand: 0,
			demandFrom: now,
			pace: 0,
			refused: null,
			limit: { name: lane.operation, quota: 0, windowSeconds: 1, remaining: 0, resetMs: 0 },
		};
		state.lanes.set(lane.id, fresh);
		return fresh;
	}

	#stateOf(tenant: string): TenantState {
		const known = this.#tenants.get(tenant);
		// Its counts can not be told apart from others' once a lane is dropped, so all of it begins anew.
		if (known && known.lanes.size <= limits.lanesPerTenant) return known;
		if (known) this.#forget(tenant);
		const [oldest] = this.#tenants.keys();
		if (oldest !== undefined && this.#tenants.size >= limits.leaseTenants) this.#forget(oldest);
		const fresh: TenantState = {
			holder: toHex(this.#options.random(8)),
			lanes: new Map(),
			epoch: 0,
			endsAt: 0,
			endedAt: Number.NEGATIVE_INFINITY,
			renewAt: 0,
			configVersion: -1,
			config: defaultConfig,
			asking: null,
			failedUntil: 0,
		};
		this.#tenants.set(tenant, fresh);
		return fresh;
	}

	/** With the lease goes what was read under it: nobody would hear that it is old. */
	#forget(tenant: string): void {
		this.#tenants.delete(tenant);
		this.#options.forgetTenant(tenant);
	}
}

function snapshot({ epoch, config }: TenantState): Term {
	return { epoch, config };
}

/** When as much as that will be there: refusals are for a cost, and a larger one takes longer. -1 for never. */
function retryMs({ refused, limit, tokens }: LaneState, cost: number, now: number): number {
	const quota = limit.quota * tokenParts;
	if (!refused || refused.until === Number.POSITIVE_INFINITY || cost > quota) return -1;
	const more = Math.max(0, cost - (refused.cost ?? tokens + tokenParts));
	return refused.until - now + Math.ceil((more * limit.windowSeconds * 1000) / quota);
}

/** Gives up what it has, and what it was refused. */
function handBack(of: LaneState): void {
	of.done += of.tokens;
	of.returned += of.tokens;
	of.tokens = 0;
	of.refused = null;
}

/** What is left of the limit, with what the isolate has in hand. */
function withHand({ limit, tokens }: LaneState): LimitState {
	const { quota, remaining } = limit;
	return { ...limit, remaining: Math.min(quota, remaining + Math.floor(tokens / tokenParts)) };
}

/** Takes stock of a lane: lapsed tokens are gone, tokens beyond the demand go back, the rest is told. */
function prepareAsk(of: LaneState, need: number, now: number): LaneAsk {
	const elapsed = now - of.demandFrom;
	if (of.endsAt <= now) handBack(of);
	if (elapsed >= limits.leasePaceMs) {
		const recent = of.demand / elapsed;
		// A pace that rises is followed at once, one that falls half-way each time.
		of.pace = recent >= of.pace ? recent : (of.pace + recent) / 2;
		of.demand = 0;
		of.demandFrom = now;
	}
	// What wants to be spent now, and what will until the next lease if it goes on like this.
	const target = Math.max(Math.ceil(of.pace * limits.leaseHorizonMs), of.waiting);
	const surplus = of.tokens - 2 * target;
	if (surplus > 0) {
		of.tokens -= surplus;
		of.done += surplus;
		of.returned += surplus;
	}
	const { lane, tokens: held, done, returned } = of;
	return { lane, need, want: Math.max(0, target - held), held, done, returned };
}

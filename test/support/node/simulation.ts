import { type TenantConfig, tenantConfig } from "../../../src/config/schema.ts";
import type { Random } from "../../../src/lib/random.ts";
import * as limits from "../../../src/limits.ts";
import { available, type Bucket, filled, fullBucket, take } from "../../../src/ratelimit/bucket.ts";
import { CoordinatorUnavailable } from "../../../src/ratelimit/coordinator.ts";
import { LeaseBook } from "../../../src/ratelimit/lease.ts";
import { Ledger, type StoredBucket } from "../../../src/ratelimit/ledger.ts";
import type { LeaseAnswer, LeaseAsk } from "../../../src/ratelimit/messages.ts";
import {
	type BucketRule,
	type Lane,
	mayTakeReserve,
	rulesFor,
} from "../../../src/ratelimit/policy.ts";

/** Numbers in [0, 1) that a seed decides (mulberry32). */
export function seeded(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** A clock that moves when it is told to, by a millisecond, and runs what was put off until then. */
class VirtualTime {
	now = 0;
	readonly #due = new Map<number, (() => void)[]>();

	after(milliseconds: number, action: () => void): void {
		const at = this.now + Math.max(1, Math.ceil(milliseconds));
		const others = this.#due.get(at);
		if (others) others.push(action);
		else this.#due.set(at, [action]);
	}

	/** Whether anything was due: promises may have settled then. */
	tick(): boolean {
		this.now++;
		const actions = this.#due.get(this.now);
		if (!actions) return false;
		this.#due.delete(this.now);
		for (const action of actions) action();
		return true;
	}
}

/** What goes wrong, each as a probability: of a message, or of a thing in a second. */
export interface Faults {
	readonly requestLost: number;
	readonly answerLost: number;
	readonly answerSlow: number;
	readonly evictionsPerSecond: number;
	readonly isolatesLostPerSecond: number;
	readonly epochsPerSecond: number;
}

export const noFaults: Faults = {
	requestLost: 0,
	answerLost: 0,
	answerSlow: 0,
	evictionsPerSecond: 0,
	isolatesLostPerSecond: 0,
	epochsPerSecond: 0,
};

/** One shard as the Durable Object is: real books, a disk that survives an eviction, and the network before it. */
class Coordinator {
	ledger: Ledger;
	readonly #stored = new Map<string, StoredBucket>();
	#lastLeaseAt = Number.NEGATIVE_INFINITY;
	/** Questions of an earlier life of the object fail. */
	life = 0;

	constructor() {
		this.ledger = new Ledger([], this.#lastLeaseAt);
	}

	lease(ask: LeaseAsk, config: TenantConfig, index: number, now: number) {
		const shard = { index, count: config.scaling_config.coordinator_shards };
		const lanes = this.ledger.lease(ask, config, shard, now);
		const { changed, dropped } = this.ledger.takeChanges();
		for (const bucket of changed) this.#stored.set(bucket.id, bucket);
		for (const id of dropped) this.#stored.delete(id);
		this.#lastLeaseAt = now;
		return lanes;
	}

	evict(): void {
		const heldUntil = this.#lastLeaseAt + limits.leaseTtlMs + limits.leaseGraceMs;
		this.ledger = new Ledger([...this.#stored.values()], heldUntil);
		this.life++;
	}
}

/** The rules of a lane where there is one shard. They are asked for millions of times, of one configuration. */
class Rules {
	readonly #config: TenantConfig;
	readonly #known = new Map<Lane, BucketRule[]>();

	constructor(config: TenantConfig) {
		this.#config = config;
	}

	of(lane: Lane): BucketRule[] {
		const known = this.#known.get(lane);
		if (known) return known;
		const rules = rulesFor(lane, this.#config, { index: 0, count: 1 });
		this.#known.set(lane, rules);
		return rules;
	}
}

/** A bucket in one place, that sees every request at once: what leases are compared with. */
class Central {
	readonly #buckets = new Map<string, Bucket>();

	/** Spends when all buckets have it. */
	spend(lane: Lane, cost: number, rules: readonly BucketRule[], now: number): boolean {
		const buckets = rules.map((rule) =>
			filled(this.#buckets.get(rule.id) ?? fullBucket(rule.policy, now), now),
		);
		const isThere = rules.every((rule, index) => {
			const bucket = buckets[index];
			return bucket && available(bucket, mayTakeReserve(lane) ? 0 : rule.reserve) >= cost;
		});
		rules.forEach((rule, index) => {
			const bucket = buckets[index];
			if (bucket) this.#buckets.set(rule.id, isThere ? take(bucket, cost) : bucket);
		});
		return isThere;
	}
}

/** The same buckets, charged with what isolates really spent: none may ever be overdrawn. */
class Audit {
	readonly #levels = new Map<string, { level: number; at: number }>();
	/** Parts of a token by which a bucket was overdrawn at the worst. */
	worst = 0;

	charge(cost: number, rules: readonly BucketRule[], now: number): void {
		for (const { id, policy } of rules) {
			const full = policy.quota * policy.windowMs;
			const known = this.#levels.get(id) ?? { level: full, at: now };
			known.level = Math.min(full, known.level + (now - known.at) * policy.quota);
			known.level -= cost * policy.windowMs;
			known.at = now;
			this.worst = Math.max(this.worst, -known.level / policy.windowMs);
			this.#levels.set(id, known);
		}
	}
}

export interface WorldOptions {
	readonly seed: number;
	readonly isolates: number;
	readonly config: TenantConfig;
	readonly faults: Faults;
}

/** What one isolate was asked for and what it could do, in hundredths of a token. */
export interface Tally {
	asked: number;
	spent: number;
}

const tenant = "t";

/** Isolates, the coordinators of their tenant, and what is between them. */
export class World {
	readonly time = new VirtualTime();
	readonly tallies: Tally[];
	readonly audit = new Audit();
	readonly total = { decisions: 0, questions: 0, spent: 0, central: 0, unavailable: 0 };
	/** Granted in all, and told to have been given back, each by lane of an isolate. */
	#granted = 0;
	readonly #returned = new Map<string, number>();
	/** The longest that an isolate went on under an epoch that had ended, in milliseconds. */
	longestStale = 0;
	readonly #draw: () => number;
	readonly #options: WorldOptions;
	readonly #coordinators: Coordinator[];
	readonly #books: LeaseBook[];
	readonly #central = new Central();
	readonly #rules: Rules;
	#epoch = 1;
	/** When each epoch ended. */
	readonly #ended = new Map<number, number>();

	constructor(options: WorldOptions) {
		this.#options = options;
		this.#rules = new Rules(options.config);
		this.#draw = seeded(options.seed);
		const shards = options.config.scaling_config.coordinator_shards;
		this.#coordinators = Array.from({ length: shards }, () => new Coordinator());
		this.#books = Array.from({ length: options.isolates }, () => this.#newBook());
		this.tallies = this.#books.map(() => ({ asked: 0, spent: 0 }));
	}

	/** One request at one isolate, now. */
	request(isolate: number, lane: Lane, cost: number): void {
		const book = this.#books[isolate];
		const tally = this.tallies[isolate];
		if (!book || !tally) throw new RangeError(`there is no isolate ${isolate}`);
		this.total.decisions++;
		tally.asked += cost;
		const rules = this.#rules.of(lane);
		if (this.#central.spend(lane, cost, rules, this.time.now)) this.total.central += cost;
		const now = book.spendNow(tenant, lane, { cost }, (work) => void work);
		if (now) this.#count(book, tally, lane, cost, now.kind);
		else {
			void book
				.spend(tenant, lane, { cost }, (work) => void work)
				.then(({ kind }) => this.#count(book, tally, lane, cost, kind));
		}
	}

	/** The part of what was granted that was neither spent nor given back. */
	get wasted(): number {
		const returned = [...this.#returned.values()].reduce((sum, each) => sum + each, 0);
		return (this.#granted - this.total.spent - returned) / this.#granted;
	}

	/** Lets a millisecond pass, with all that it brings. */
	async tick(): Promise<void> {
		const { faults, isolates } = this.#options;
		const perTick = (perSecond: number) => perSecond > 0 && this.#draw() < perSecond / 1000;
		if (perTick(faults.evictionsPerSecond)) this.#oneOf(this.#coordinators).evict();
		if (perTick(faults.isolatesLostPerSecond)) {
			this.#books[Math.floor(this.#draw() * isolates)] = this.#newBook();
		}
		if (perTick(faults.epochsPerSecond)) this.#ended.set(this.#epoch++, this.time.now);
		if (this.time.tick()) await settled();
	}

	#count(book: LeaseBook, tally: Tally, lane: Lane, cost: number, kind: string): void {
		if (kind === "unavailable") this.total.unavailable++;
		if (kind !== "spent") return;
		const { now } = this.time;
		tally.spent += cost;
		this.total.spent += cost;
		this.audit.charge(cost, this.#rules.of(lane), now);
		const endedAt = this.#ended.get(book.termNow(tenant)?.epoch ?? this.#epoch);
		if (endedAt !== undefined) this.longestStale = Math.max(this.longestStale, now - endedAt);
	}

	#newBook(): LeaseBook {
		const ahead = Math.floor(this.#draw() * 1e6); // no two clocks agree
		const random: Random = (count) =>
			Uint8Array.from({ length: count }, () => Math.floor(this.#draw() * 256));
		return new LeaseBook({
			clock: () => this.time.now + ahead,
			random,
			sleep: (milliseconds) => new Promise((resolve) => this.time.after(milliseconds, resolve)),
			forgetTenant: () => {},
			ask: (_, __, ask) => this.#ask(ask),
		});
	}

	/** The way to the coordinator and back: delays, losses, and the time-out of the caller. */
	#ask(ask: LeaseAsk): Promise<LeaseAnswer> {
		this.total.questions++;
		const { faults } = this.#options;
		const index = Number.parseInt(ask.holder.slice(0, 8), 16) % this.#coordinators.length;
		const coordinator = this.#coordinators[index] as Coordinator;
		const lost = this.#draw() < faults.requestLost;
		const answerLost = this.#draw() < faults.answerLost;
		const [way, back] = [this.#delay(), this.#delay()];
		const { life } = coordinator;
		return new Promise((resolve, reject) => {
			let isOver = false;
			const fail = () => {
				// An error has its stack written down: none is made where nobody waits any more.
				if (!isOver) reject(new CoordinatorUnavailable("lost"));
				isOver = true;
			};
			this.time.after(limits.leaseTimeoutMs, fail);
			if (lost) return;
			this.time.after(way, () => {
				if (coordinator.life !== life) return fail();
				const answer = this.#lease(coordinator, ask, index);
				if (!answerLost) {
					this.time.after(back, () => {
						isOver = true;
						resolve(answer);
					});
				} else if (this.#draw() < 0.5) this.time.after(back, fail);
			});
		});
	}

	#lease(coordinator: Coordinator, ask: LeaseAsk, index: number): LeaseAnswer {
		const { config } = this.#options;
		const lanes = coordinator.lease(ask, config, index, this.time.now);
		const news = ask.configVersion === 1 ? null : config;
		for (const { granted } of lanes) this.#granted += granted;
		for (const { generation, returned } of ask.lanes) {
			const name = `${ask.holder} ${generation}`;
			this.#returned.set(name, Math.max(returned, this.#returned.get(name) ?? 0));
		}
		const ttlMs = limits.leaseTtlMs;
		const term = { epoch: this.#epoch, isChanging: false, ttlMs, configVersion: 1 };
		return { kind: "lease", ...term, config: news, lanes };
	}

	#delay(): number {
		const slow = this.#draw() < this.#options.faults.answerSlow;
		return slow ? 100 + this.#draw() * 4_000 : 1 + this.#draw() * 15;
	}

	#oneOf<T>(things: readonly T[]): T {
		return things[Math.floor(this.#draw() * things.length)] as T;
	}
}

/** Runs every continuation of a promise that has settled: Node comes to the next tick after all of them. */
function settled(): Promise<void> {
	return new Promise((resolve) => process.nextTick(resolve));
}

/** How many come in a millisecond when `mean` do on the average (Poisson, by Knuth's product). */
export function arrivals(mean: number, draw: () => number): number {
	if (mean <= 0) return 0;
	const least = Math.exp(-mean);
	let count = -1;
	for (let product = 1; product > least; product *= draw()) count++;
	return count;
}

/** A tenant that may do `perSecond`, with a bucket of as many seconds. */
export function configFor(perSecond: number, windowSeconds: number, shards = 1): TenantConfig {
	const quota = { quota: Math.round(perSecond * windowSeconds), window_seconds: windowSeconds };
	return tenantConfig.parse({
		scaling_config: { coordinator_shards: shards },
		limits_config: { tenant: quota, operations: { sign: null, list: null } },
	});
}

import { expect, it } from "vitest";
import { type TenantConfig, tenantConfig } from "../../src/config/schema.ts";
import { LeaseBook, type Spending } from "../../src/ratelimit/lease.ts";
import { Ledger } from "../../src/ratelimit/ledger.ts";
import { laneOf, type Operation } from "../../src/ratelimit/policy.ts";

const roundTripMs = 2;
const runMs = 60_000;

/** An isolate and the coordinator, in a time that moves when somebody waits. */
class OneIsolate {
	now = 1_000_000;
	/** How often the coordinator was asked. */
	questions = 0;
	readonly #config: TenantConfig;
	readonly #ledger = new Ledger([], 0);
	readonly #background: Promise<unknown>[] = [];
	readonly #book = new LeaseBook({
		clock: () => this.now,
		random: (count) => new Uint8Array(count),
		forgetTenant: () => {},
		sleep: async (milliseconds) => {
			this.now += milliseconds;
		},
		ask: async (_tenant, _config, ask) => {
			this.questions++;
			const lanes = this.#ledger.lease(ask, this.#config, { index: 0, count: 1 }, this.now);
			this.now += roundTripMs;
			const news = { config: ask.configVersion === 1 ? null : this.#config, configVersion: 1 };
			return { kind: "lease", epoch: 1, ttlMs: 2_000, isChanging: false, ...news, lanes };
		},
	});

	/** @param tenantLimit of its tenant, all of which may be signed with; it has none of its own by default */
	constructor(tenantLimit?: Limit) {
		const operations = { sign: null };
		const quota = tenantLimit && {
			tenant: { quota: tenantLimit.quota, window_seconds: tenantLimit.windowSeconds },
		};
		this.#config = tenantConfig.parse({ limits_config: { ...quota, operations } });
	}

	/** How long another isolate is told to wait that asks now, for the first time. */
	waitOfAnother(lane: ReturnType<typeof laneOf>, need: number): number | undefined {
		const counts = { want: 0, held: 0, done: 0, returned: 0 };
		const lanes = [{ lane, generation: 1, need, ...counts }];
		const ask = { holder: "another", number: 1, isComplete: true, lanes };
		const [answer] = this.#ledger.lease(ask, this.#config, { index: 0, count: 1 }, this.now);
		return answer?.refusal?.waitMs;
	}

	async spend(lane: ReturnType<typeof laneOf>, cost: number): Promise<Spending> {
		await this.#book.term("tenant");
		const inBackground = (work: Promise<unknown>) => this.#background.push(work);
		const spending =
			this.#book.spendNow("tenant", lane, { cost }, inBackground) ??
			(await this.#book.spend("tenant", lane, { cost }, inBackground));
		await Promise.all(this.#background.splice(0));
		return spending;
	}
}

/** As the header tells it. */
const retryAfterMs = (retryMs: number) => Math.max(1, Math.ceil(retryMs / 1000)) * 1000;

const other = laneOf("sign", "signer", { id: "other", quota: 1_000, windowSeconds: 1 });

interface Limit {
	readonly quota: number;
	readonly windowSeconds: number;
}

/** An operation, and what one costs. */
type Deed = readonly [Operation, number];

/**
 * Asks as fast as it may, one deed after the other, and comes again for the same one when it is told to. The limit
 * is its token's, or its tenant's.
 */
async function obey(
	limit: Limit,
	deeds: readonly Deed[],
	othersEveryMs: number,
	isTenants = false,
) {
	const isolate = new OneIsolate(isTenants ? limit : undefined);
	const end = isolate.now + runMs;
	const token = isTenants ? null : { id: "own", ...limit };
	let nextOther = isolate.now;
	const wait = async (milliseconds: number) => {
		const until = isolate.now + milliseconds;
		while (othersEveryMs > 0 && nextOther <= until) {
			isolate.now = Math.max(isolate.now, nextOther);
			nextOther = isolate.now + othersEveryMs;
			await isolate.spend(other, 100);
		}
		isolate.now = Math.max(isolate.now, until);
	};
	const counts = { spent: 0, returns: 0, refusedAgain: 0 };
	for (let isReturn = false; isolate.now < end; ) {
		const [operation, cost] = deeds[counts.spent % deeds.length] ?? ["sign", 100];
		const spending = await isolate.spend(laneOf(operation, "signer", token), cost);
		if (isReturn) counts.returns++;
		if (spending.kind === "spent") {
			counts.spent++;
			isReturn = false;
			await wait(10);
			continue;
		}
		if (spending.kind !== "refused" || spending.retryMs < 0) throw new Error(spending.kind);
		if (isReturn) counts.refusedAgain++;
		isReturn = true;
		await wait(retryAfterMs(spending.retryMs));
	}
	return counts;
}

const several: readonly Deed[][] = [
	[
		["sign", 100],
		["verify", 50],
	],
	[
		["read", 20],
		["sign", 100],
		["verify", 50],
		["read", 20],
	],
	[
		["verify", 50],
		["verify", 50],
		["sign", 100],
		["sign", 100],
		["sign", 100],
	],
];

it.each([
	[1, 1],
	[1, 3],
	[1, 5],
	[2, 3],
	[3, 3],
	[10, 5],
	[20, 60],
])("nor who does several things with one token of %i in %i s", async (quota, windowSeconds) => {
	for (const deeds of several) {
		for (const othersEveryMs of [0, 40, 700]) {
			const { spent, refusedAgain } = await obey({ quota, windowSeconds }, deeds, othersEveryMs);
			expect({ deeds, othersEveryMs, refusedAgain }).toMatchObject({ refusedAgain: 0 });
			expect(spent).toBeGreaterThan(0.4 * ((quota * runMs) / 1000 / windowSeconds));
		}
	}
});

it.each([
	[1, 1, 100],
	[1, 2, 100],
	[1, 10, 100],
	[2, 3, 100],
	[3, 1, 300],
	[5, 5, 300],
	[10, 10, 300],
	[10, 60, 100],
	[20, 20, 1_000],
	[50, 5, 100],
	[50, 5, 20],
	[100, 60, 300],
	[1_000, 3_600, 100],
])(
	"whoever obeys Retry-After is not refused again: %i in %i s, each for %i parts",
	async (quota, seconds, cost) => {
		for (const othersEveryMs of [0, 40, 700]) {
			const limit = { quota, windowSeconds: seconds };
			const { spent, returns, refusedAgain } = await obey(limit, [["sign", cost]], othersEveryMs);
			expect({ othersEveryMs, refusedAgain }).toEqual({ othersEveryMs, refusedAgain: 0 });
			const entitled = ((quota + (quota * runMs) / 1000 / seconds) * 100) / cost;
			expect(spent).toBeLessThanOrEqual(entitled);
			expect(spent).toBeGreaterThan(0.9 * entitled - 1);
			if (entitled < 1_000) expect(returns).toBeGreaterThan(0);
		}
	},
);

it.each([
	[10, 1, 100],
	[20, 1, 500],
	[20, 1, 100],
	[100, 1, 100],
])(
	"whoever obeys Retry-After alone has what the limit allows: %i in %i s, each for %i parts",
	async (quota, windowSeconds, cost) => {
		for (const isTenants of [false, true]) {
			const limit = { quota, windowSeconds };
			const { spent, refusedAgain } = await obey(limit, [["sign", cost]], 0, isTenants);
			expect({ isTenants, refusedAgain }).toEqual({ isTenants, refusedAgain: 0 });
			const entitled = ((quota + (quota * runMs) / 1000 / windowSeconds) * 100) / cost;
			expect(spent).toBeLessThanOrEqual(entitled);
			expect(spent).toBeGreaterThan(0.85 * entitled);
		}
	},
);

it.each([
	[1, 1],
	[2, 60],
	[5, 5],
])(
	"what one isolate has spent of %i in %i s keeps no other one waiting for the end of its lease",
	async (quota, windowSeconds) => {
		const isolate = new OneIsolate();
		const lane = laneOf("sign", "signer", { id: "own", quota, windowSeconds });
		for (let spent = 0; spent < quota; spent++) await isolate.spend(lane, 100);
		const oneMs = (1_000 * windowSeconds) / quota;
		expect(isolate.waitOfAnother(lane, 100)).toBeLessThanOrEqual(oneMs);
	},
);

it("a token that does two things beyond its limit asks the coordinator no more often for that", async () => {
	const isolate = new OneIsolate();
	const token = { id: "own", quota: 60_000, windowSeconds: 60 };
	const deeds = [
		{ lane: laneOf("sign", "signer", token), cost: 100 },
		{ lane: laneOf("verify", "signer", token), cost: 50 },
	];
	for (const end = isolate.now + 10_000; isolate.now < end; ) {
		for (const { lane, cost } of deeds) await isolate.spend(lane, cost);
		isolate.now += 0.1;
	}
	// A tenth of a second is what whoever gets less than they want makes do with.
	expect(isolate.questions).toBeLessThan(150);
});

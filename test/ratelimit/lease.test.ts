import { describe, expect, it } from "vitest";
import { defaultConfig, tenantConfig } from "../../src/config/schema.ts";
import * as limits from "../../src/limits.ts";
import { LeaseBook } from "../../src/ratelimit/lease.ts";
import type { LeaseAnswer, LeaseAsk } from "../../src/ratelimit/messages.ts";
import { laneOf } from "../../src/ratelimit/policy.ts";

const tenant = "acme";
const inBackground = (work: Promise<unknown>) => void work;
const sign = laneOf("sign", "signer", null);
const limit = {
	name: "sign",
	quota: 1_000,
	windowSeconds: 60,
	remaining: 900,
	resetMs: 0,
	most: 100_000,
	msPerPart: 0.6,
};
const price = { cost: 100 };

interface Question {
	readonly ask: LeaseAsk;
	answer(granted: number, more?: Partial<Extract<LeaseAnswer, { kind: "lease" }>>): Promise<void>;
	refuse(waitMs: number): Promise<void>;
	fail(): Promise<void>;
}

/** A lease book whose coordinator answers when the test says so. */
function isolate() {
	const questions: Question[] = [];
	const sleeping: (() => void)[] = [];
	const forgotten: string[] = [];
	let now = 1_000_000;
	const settled = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
	const book = new LeaseBook({
		clock: () => now,
		random: (count) => crypto.getRandomValues(new Uint8Array(count)),
		sleep: () => new Promise((resolve) => sleeping.push(resolve)),
		forgetTenant: (name) => forgotten.push(name),
		ask: (_, __, ask) =>
			new Promise((resolve, reject) => {
				const lane = { lane: sign.id, granted: 0, refusal: null, pauseMs: 0, limit };
				const lease = (lanes: object[], more = {}) => {
					const base = { epoch: 7, isChanging: false, ttlMs: limits.leaseTtlMs, configVersion: 1 };
					resolve({ kind: "lease", ...base, config: null, lanes, ...more } as LeaseAnswer);
					return settled();
				};
				questions.push({
					ask,
					answer: (granted, more) =>
						lease(
							ask.lanes.map(() => ({ ...lane, granted })),
							more,
						),
					refuse: (waitMs) => lease([{ ...lane, refusal: { limit, waitMs } }]),
					fail: () => {
						reject(new Error("gone"));
						return settled();
					},
				});
			}),
	});
	return {
		book,
		questions,
		forgotten,
		pass: (milliseconds: number) => {
			now += milliseconds;
		},
		/** Lets everybody who waits go on. */
		wake: async () => {
			for (const resolve of sleeping.splice(0)) resolve();
			await settled();
		},
		now: () => book.spendNow(tenant, sign, price, () => {})?.kind ?? "ask",
		spend: () => book.spend(tenant, sign, price, inBackground).then(({ kind }) => kind),
	};
}

function asked(questions: readonly Question[], index: number): Question {
	const question = questions[index];
	if (!question) throw new Error(`there is no question ${index}`);
	return question;
}

describe("an isolate's leases", () => {
	it("are spent without a question, and not beyond", async () => {
		const { now, spend, questions } = isolate();
		expect(now()).toBe("ask");
		const first = spend();
		await asked(questions, 0).answer(300);
		expect(await first).toBe("spent");
		expect([now(), now(), now()]).toEqual(["spent", "spent", "ask"]);
	});

	it("end by the time of the question, however late the answer was", async () => {
		const { spend, now, pass, questions } = isolate();
		const first = spend();
		pass(limits.leaseTtlMs - 1);
		await asked(questions, 0).answer(300);
		expect(await first).toBe("spent");
		expect(now()).toBe("spent");
		pass(1);
		expect(now()).toBe("ask");
	});

	it("end by the time of their own question, though another one has renewed the lease since", async () => {
		const { book, spend, now, pass, questions } = isolate();
		const first = spend();
		pass(limits.leaseFollowMs);
		const renewed = book.term(tenant);
		await asked(questions, 1).answer(0, { lanes: [] });
		expect(await renewed).toMatchObject({ epoch: 7 });
		await asked(questions, 0).answer(300);
		expect(await first).toBe("spent");
		expect(now()).toBe("spent");
		pass(limits.leaseTtlMs - limits.leaseFollowMs);
		expect(book.termNow(tenant)).toMatchObject({ epoch: 7 });
		expect(now()).toBe("ask");
	});

	it("take nothing of an answer that one of a later epoch has overtaken", async () => {
		const { book, spend, now, pass, questions } = isolate();
		void spend();
		pass(limits.leaseFollowMs);
		const renewed = book.term(tenant);
		await asked(questions, 1).answer(0, { lanes: [], epoch: 8, configVersion: 5 });
		await renewed;
		const config = tenantConfig.parse({ limits_config: { reserve_percent: 50 } });
		await asked(questions, 0).answer(300, { epoch: 7, configVersion: 4, config });
		expect(book.termNow(tenant)).toMatchObject({ epoch: 8, config: defaultConfig });
		expect(now()).toBe("ask");
	});

	it("of a tenant that had to make room leave nothing behind, and take no answer any more", async () => {
		const { book, spend, questions, forgotten } = isolate();
		const outcomes: string[] = [];
		void spend().then((kind) => outcomes.push(kind));
		for (let nth = 0; nth < limits.leaseTenants; nth++) void book.term(`other-${nth}`);
		expect(forgotten).toEqual([tenant]);
		await asked(questions, 0).answer(300);
		expect(outcomes).toEqual(["unavailable"]);
		expect(questions).toHaveLength(1 + limits.leaseTenants); // nor is asked for what nobody would take
		expect(book.epochOf(tenant)).toBeNull();
		expect(forgotten).toEqual([tenant]);
	});

	it("make room for others where they have ended, before one that lives", async () => {
		const { book, spend, questions, forgotten } = isolate();
		const first = spend();
		await asked(questions, 0).answer(300);
		expect(await first).toBe("spent");
		for (let nth = 0; nth < limits.leaseTenants; nth++) book.end(`other-${nth}`);
		expect(forgotten).toEqual([tenant, "other-0"]); // its own was at its first epoch
		expect(book.termNow(tenant)).toMatchObject({ epoch: 7 });
	});

	it("make room for others where they never were, before one that has ended", async () => {
		const { book, spend, questions, pass, forgotten } = isolate();
		const first = spend();
		await asked(questions, 0).answer(300);
		await first;
		pass(limits.leaseTtlMs); // nobody has asked since
		for (let nth = 0; nth < limits.leaseTenants; nth++) void book.term(`made-up-${nth}`);
		pass(limits.leaseTimeoutMs); // none of them was answered
		for (let nth = 0; nth < 10; nth++) void book.term(`another-${nth}`);
		expect(book.epochOf(tenant)).toBe(7);
		expect(forgotten).toContain("made-up-0");
	});

	it("are no more than an isolate has memory for, however many lanes they have", () => {
		const { book, questions, forgotten } = isolate();
		const token = (nth: number) => ({ id: `t${nth}`, quota: 10, windowSeconds: 60 });
		for (let of = 0; of < 120; of++) {
			book.end(`other-${of}`);
			for (let nth = 0; nth < limits.lanesPerTenant; nth++) {
				const lane = laneOf("sign", "signer", token(nth));
				void book.spend(`other-${of}`, lane, price, inBackground);
			}
		}
		expect(book.bytes).toBeLessThanOrEqual(limits.memoryLeasesBytes);
		expect(forgotten.length).toBeGreaterThan(0);
		expect(questions.length).toBeGreaterThan(0);
	});

	it("bring nothing once the coordinator was told that their answer can not come any more", async () => {
		const { spend, now, wake, pass, questions } = isolate();
		const slow = spend();
		pass(limits.leaseTtlMs);
		const quick = spend();
		expect(asked(questions, 0).ask.isComplete).toBe(true);
		expect(asked(questions, 1).ask.isComplete).toBe(true);
		await asked(questions, 0).answer(5_000);
		await asked(questions, 1).answer(200);
		await wake();
		expect([await slow, await quick]).toEqual(["spent", "spent"]);
		expect(now()).toBe("ask");
		// Nor is it given back: that has been done where the coordinator heard of it.
		void spend();
		expect(asked(questions, 2).ask.lanes[0]).toMatchObject({ held: 0, done: 200, returned: 0 });
	});

	it("are asked for once, however many wait", async () => {
		const { spend, wake, questions } = isolate();
		const spending = Array.from({ length: 50 }, spend);
		expect(questions).toHaveLength(1);
		await asked(questions, 0).answer(100);
		await wake();
		expect(questions).toHaveLength(2);
		await asked(questions, 1).answer(asked(questions, 1).ask.lanes[0]?.want ?? 0);
		await wake();
		expect(new Set(await Promise.all(spending))).toEqual(new Set(["spent"]));
		expect(questions).toHaveLength(2);
	});

	it("wait for a slow coordinator as long as it may take, and no longer", async () => {
		const { spend, wake, pass, questions } = isolate();
		const outcomes: string[] = [];
		for (let nth = 0; nth < 20; nth++) void spend().then((kind) => outcomes.push(kind));
		for (let waited = 0; waited < limits.leaseTimeoutMs - 10; waited += 10) {
			pass(10);
			await wake();
		}
		expect(outcomes).toEqual([]);
		// Asked again now and then, in case the first question was cut off; not once for each that waits.
		expect(questions.length).toBeLessThanOrEqual(limits.leaseTimeoutMs / limits.leaseFollowMs + 1);
		for (const question of questions.toReversed()) await question.answer(500);
		await wake();
		expect(outcomes).toContain("spent");
		pass(10);
		for (let nth = 0; nth < 3; nth++) {
			for (const question of questions) await question.answer(0);
			await wake();
		}
		expect(outcomes).toHaveLength(20);
		expect(outcomes).not.toContain("refused");
	});

	it("of more lanes than an isolate keeps leave those alone that are in use", async () => {
		const { book, spend, now, questions } = isolate();
		const first = spend();
		await asked(questions, 0).answer(300);
		await first;
		for (let nth = 0; nth < 3 * limits.lanesPerTenant; nth++) {
			const token = { id: `${nth}`, quota: 10, windowSeconds: 60 };
			book.spendNow(tenant, laneOf("sign", "signer", token), price, () => {});
			if (nth === 10) expect(now()).toBe("spent");
		}
		expect(book.epochOf(tenant)).toBe(7);
		expect(book.termNow(tenant)).not.toBeNull();
	});

	it("tell whoever wants more than was refused when all of that will be there", async () => {
		const { book, questions } = isolate();
		const spending = book.spend(tenant, sign, { cost: 900 }, inBackground);
		expect(asked(questions, 0).ask.lanes[0]?.need).toBe(900);
		await asked(questions, 0).refuse(5_000);
		expect(await spending).toMatchObject({ kind: "refused", retryMs: 5_000 });
		expect(book.spendNow(tenant, sign, { cost: 1_000 }, () => {})).toMatchObject({
			kind: "refused",
			retryMs: 5_000 + 100 * limit.msPerPart,
		});
	});

	it("ask for no more than what is in hand leaves to be wished", async () => {
		const { book, questions } = isolate();
		const first = book.spend(tenant, sign, price, inBackground);
		await asked(questions, 0).answer(190);
		await first;
		void book.spend(tenant, sign, price, inBackground);
		expect(asked(questions, 1).ask.lanes[0]).toMatchObject({ need: 10, held: 90, done: 100 });
	});

	it("spend nothing for a look", async () => {
		const { book, questions } = isolate();
		const look = book.spend(tenant, sign, { ...price, isLook: true }, inBackground);
		await asked(questions, 0).answer(100);
		expect(await look).toMatchObject({ kind: "spent" });
		expect(book.spendNow(tenant, sign, price, () => {})).toMatchObject({ kind: "spent" });
		expect(book.spendNow(tenant, sign, { ...price, isLook: true }, () => {})).toBeNull();
	});

	it("refuse by themselves until the coordinator will have more", async () => {
		const { spend, now, pass, questions } = isolate();
		const first = spend();
		await asked(questions, 0).refuse(1_500);
		expect(await first).toBe("refused");
		expect(now()).toBe("refused");
		pass(1_499);
		expect(now()).toBe("refused");
		pass(1);
		expect(now()).toBe("ask");
	});

	it("allow nothing when nobody answers, and are asked for once more where that came at once", async () => {
		const { spend, wake, pass, questions } = isolate();
		const first = spend();
		await asked(questions, 0).fail();
		pass(limits.leaseFailurePauseMs);
		await wake();
		await asked(questions, 1).fail();
		expect(await first).toBe("unavailable");
		expect(questions).toHaveLength(2);
	});

	it("forget what was read before when the epoch moves, and keep no lease of the old one", async () => {
		const { book, spend, pass, questions, forgotten } = isolate();
		const first = spend();
		await asked(questions, 0).answer(300);
		await first;
		const before = forgotten.length;
		expect(await book.stillHolds(tenant, 7)).toBe(true);
		pass(limits.leaseTtlMs);
		const holds = book.stillHolds(tenant, 7);
		await asked(questions, 1).answer(0, { epoch: 8 });
		expect(await holds).toBe(false);
		expect(forgotten.slice(before)).toEqual([tenant]);
		expect(book.epochOf(tenant)).toBe(8);
	});

	it("that are ended here are not revived by an answer to a question of before", async () => {
		const { book, spend, pass, questions } = isolate();
		void spend();
		pass(10);
		book.end(tenant);
		await asked(questions, 0).answer(300);
		expect(book.termNow(tenant)).toBeNull();
	});

	it("of an epoch that is known to be over share nothing, though a shard still lends it", async () => {
		const { book, pass, questions } = isolate();
		const lease = async (index: number, epoch: number) => {
			const term = book.term(tenant);
			await asked(questions, index).answer(0, { epoch });
			expect(await term).toMatchObject({ epoch });
		};
		expect(book.sharedEpoch(tenant)).toBeNull();
		await lease(0, 7);
		expect(book.sharedEpoch(tenant)).toBe(7);
		book.end(tenant);
		pass(1);
		await lease(1, 7);
		expect(book.sharedEpoch(tenant)).toBeNull();
		pass(limits.leaseTtlMs);
		await lease(2, 8);
		expect(book.sharedEpoch(tenant)).toBe(8);
		pass(limits.leaseTtlMs);
		expect(book.sharedEpoch(tenant)).toBeNull();
	});

	it("share nothing while a change is announced", async () => {
		const { book, pass, questions } = isolate();
		for (const [index, isChanging] of [false, true, false].entries()) {
			const term = book.term(tenant);
			await asked(questions, index).answer(0, { isChanging });
			expect(await term).toMatchObject({ epoch: 7 });
			expect(book.sharedEpoch(tenant)).toBe(isChanging ? null : 7);
			pass(limits.leaseTtlMs);
		}
	});

	it("share nothing of an epoch before the one that a change of this isolate came to", async () => {
		const { book, pass, questions } = isolate();
		const lease = async (index: number, epoch: number) => {
			const term = book.term(tenant);
			await asked(questions, index).answer(0, { epoch });
			await term;
			pass(limits.leaseTtlMs - 1);
			const shared = book.sharedEpoch(tenant);
			pass(1);
			return shared;
		};
		expect(await lease(0, 7)).toBe(7);
		book.end(tenant); // committed
		book.end(tenant, 9); // confirmed: another isolate's change was in between
		pass(1);
		expect(await lease(1, 8)).toBeNull();
		expect(asked(questions, 1).ask.epoch).toBe(9);
		expect(await lease(2, 9)).toBe(9);
	});

	it("share what is of the new epoch, though it came before the change was heard to be confirmed", async () => {
		const { book, pass, questions } = isolate();
		const lease = async (index: number, epoch: number) => {
			const term = book.term(tenant);
			await asked(questions, index).answer(0, { epoch });
			await term;
		};
		await lease(0, 7);
		book.end(tenant);
		pass(1);
		await lease(1, 8);
		book.end(tenant, 8);
		pass(1);
		await lease(2, 8);
		expect(book.sharedEpoch(tenant)).toBe(8);
	});

	it("share nothing while a change is announced, though an older answer comes after that", async () => {
		const { book, pass, questions } = isolate();
		const first = book.term(tenant);
		pass(limits.leaseFollowMs);
		const second = book.term(tenant);
		await asked(questions, 1).answer(0, { isChanging: true });
		await asked(questions, 0).answer(0, { isChanging: false });
		await Promise.all([first, second]);
		expect(book.sharedEpoch(tenant)).toBeNull();
	});

	it("have another life when they are ended here, and with every state that is new", async () => {
		const { book, pass, questions } = isolate();
		const lease = async (index: number) => {
			const term = book.term(tenant);
			await asked(questions, index).answer(0);
			await term;
			return book.lifeOf(tenant);
		};
		const first = await lease(0);
		pass(limits.leaseTtlMs);
		expect(await lease(1)).toBe(first);
		book.end(tenant);
		pass(1);
		const second = await lease(2);
		expect(second).not.toBe(first);
		expect(book.lifeOf("other")).not.toBe(second);
	});

	it("take the tenant's configuration with them", async () => {
		const { book, questions } = isolate();
		const term = book.term(tenant);
		const shards = { ...defaultConfig.scaling_config, coordinator_shards: 3 };
		const config = { ...defaultConfig, scaling_config: shards };
		await asked(questions, 0).answer(0, { config, configVersion: 4 });
		expect(await term).toMatchObject({ epoch: 7, config });
	});
});

import { describe, expect, it } from "vitest";
import { tenantConfig } from "../../src/config/schema.ts";
import * as limits from "../../src/limits.ts";
import { Ledger } from "../../src/ratelimit/ledger.ts";
import type { LaneAnswer, LaneAsk } from "../../src/ratelimit/messages.ts";
import { laneOf } from "../../src/ratelimit/policy.ts";
import { fairShare } from "../../src/ratelimit/share.ts";

/** 100 tokens in 10 s: one is 100 parts, and each second brings ten of them. */
const config = tenantConfig.parse({
	limits_config: { tenant: { quota: 100, window_seconds: 10 }, operations: { sign: null } },
});
const all = 10_000;
const sign = laneOf("sign", "signer", null);
const list = laneOf("list", "admin", null);
const shard = { index: 0, count: 1 };
const { leaseMs } = limits;

/** An isolate as the ledger sees it: it says what it is told to say. */
function holder(ledger: Ledger, name: string, limits = config) {
	let number = 0;
	return (
		told: Partial<LaneAsk & { number: number; isComplete: boolean }>,
		now: number,
	): LaneAnswer => {
		const { number: nth = ++number, isComplete = true, ...counts } = told;
		const lane = {
			lane: sign,
			generation: 1,
			need: 0,
			want: 0,
			held: 0,
			done: 0,
			returned: 0,
			...counts,
		};
		const asked = { holder: name, number: nth, isComplete, lanes: [lane] };
		const [answer] = ledger.lease(asked, limits, shard, now);
		if (!answer) throw new Error("there is no answer");
		return answer;
	};
}

function stored(ledger: Ledger) {
	const [bucket] = ledger.takeChanges().changed;
	if (!bucket) throw new Error("nothing has changed");
	return bucket;
}

describe("the ledger", () => {
	it("does not fill a bucket over what was held all the while, though it is told late that it was spent", () => {
		const ledger = new Ledger([], 0);
		const a = holder(ledger, "a");
		expect(a({ want: 6_000 }, 0).granted).toBe(6_000);
		// Whoever spent it did so now: one bucket would have 40 tokens and no more.
		expect(a({ done: 6_000, want: all }, leaseMs - 1).granted).toBe(4_000);
	});

	it("lets go of what an isolate held that fell silent, and takes back what nothing has filled", () => {
		const ledger = new Ledger([], 0);
		const [a, b, c] = [holder(ledger, "a"), holder(ledger, "b"), holder(ledger, "c")];
		a({ want: 8_000 }, 0);
		expect(b({ want: all }, leaseMs - 1).granted).toBe(2_000);
		// It may have been spent at the last moment; from then on the bucket fills.
		expect(b({ done: 2_000, want: all }, leaseMs + 5_000).granted).toBe(5_000);
		a({ done: 8_000, returned: 8_000 }, leaseMs + 5_001);
		expect(c({ want: all }, leaseMs + 5_001 + limits.leaseClaimMs).granted).toBe(5_000);
	});

	it("has room again when the leases that filled it have ended", () => {
		const ledger = new Ledger([], 0);
		let now = 0;
		for (let nth = 0; ledger.hasRoom(now) && nth < 1_000; nth++) {
			const lanes = Array.from({ length: limits.lanesPerAsk }, (_, generation) => {
				const lane = laneOf("sign", "signer", { id: `${generation}`, quota: 10, windowSeconds: 1 });
				return { lane, generation, need: 0, want: 0, held: 0, done: 0, returned: 0 };
			});
			ledger.lease({ holder: `${nth}`, number: 1, isComplete: true, lanes }, config, shard, now);
			now++;
		}
		expect(ledger.hasRoom(now)).toBe(false);
		expect(ledger.hasRoom(now + leaseMs + limits.leaseReleaseMs)).toBe(true);
	});

	it("takes back what was given back, and what was granted in an answer that never came", () => {
		const ledger = new Ledger([], 0);
		const a = holder(ledger, "a");
		a({ want: 5_000 }, 0);
		expect(a({ held: 2_000, done: 3_000, returned: 2_500, want: all }, 1).granted).toBe(7_500);
		// The 7,500 never came; the 2,000 are still there.
		expect(a({ held: 2_000, done: 3_000, returned: 2_500, want: all }, 2).granted).toBe(7_501);
	});

	it("takes nothing back while an answer may still come, nor on the word of a question that was overtaken", () => {
		const ledger = new Ledger([], 0);
		const a = holder(ledger, "a");
		a({ want: 5_000 }, 0);
		expect(a({ isComplete: false, want: all }, 1).granted).toBe(5_000);
		a({ held: all, number: 9 }, 2);
		expect(() => a({ held: 0, number: 4, want: all }, 3)).toThrow("there is no answer");
		expect(a({ held: all, want: all, number: 10 }, 4).granted).toBe(0);
	});

	it("counts what isolates hold of an earlier life until their leases have ended", () => {
		const before = new Ledger([], 0);
		expect(holder(before, "a")({ want: 8_000 }, 0).granted).toBe(8_000);
		const ledger = new Ledger([stored(before)], leaseMs);
		// A bucket in one place may have all 80 spent at the last moment of the leases.
		const b = holder(ledger, "b");
		expect(b({ want: all }, leaseMs).granted).toBe(2_000);
		expect(b({ held: 2_000, want: all }, leaseMs + 1_000).granted).toBe(1_000);
	});

	it("keeps a hold that was stored before two evictions", () => {
		const first = new Ledger([], 0);
		holder(first, "a")({ want: 8_000 }, 0);
		const second = new Ledger([stored(first)], leaseMs);
		holder(second, "b")({}, 1);
		const third = new Ledger([stored(second)], leaseMs + 1);
		expect(holder(third, "b")({ want: all }, leaseMs).granted).toBe(2_000);
	});

	it("divides what is scarce evenly, whoever came first", () => {
		const ledger = new Ledger([], 0);
		const [a, b] = [holder(ledger, "a"), holder(ledger, "b")];
		const first = a({ want: all }, 0).granted;
		expect(first).toBe(all); // nobody else was there
		const [doneA, doneB] = [{ done: first }, { done: 0 }];
		b({ ...doneB, want: all }, 1);
		let [gotA, gotB] = [0, 0];
		for (let now = 100; now <= 10_000; now += 100) {
			const answerA = a({ ...doneA, want: all }, now);
			doneA.done += answerA.granted;
			gotA += answerA.granted;
			const answerB = b({ ...doneB, want: all }, now);
			doneB.done += answerB.granted;
			gotB += answerB.granted;
		}
		expect(gotA + gotB).toBeGreaterThan(0.95 * all);
		expect(gotB).toBeGreaterThan(gotA); // it makes up for what the first had at once
		expect(gotB).toBeLessThan(4 * gotA);
	});

	it("keeps the reserve for critical operations", () => {
		const ledger = new Ledger([], 0);
		const a = holder(ledger, "a");
		expect(a({ lane: list, want: all }, 0).granted).toBe(8_000);
		expect(a({ lane: list, need: 100, done: 8_000 }, 0).refusal).toMatchObject({
			limit: { name: "tenant" },
		});
		expect(a({ lane: sign, want: all }, 0).granted).toBe(2_000);
	});

	it("gives critical operations what they want before the others share", () => {
		const ledger = new Ledger([], 0);
		const [signer, lister] = [holder(ledger, "a"), holder(ledger, "b")];
		let [signs, lists] = [0, 0];
		for (let now = 0; now <= 30_000; now += 100) {
			lists += lister({ lane: list, done: lists, want: all }, now).granted;
			signs += signer({ done: signs, want: 80 }, now).granted;
		}
		expect(signs).toBe(301 * 80); // four fifths of what flows in
		expect(lists).toBeGreaterThan(0);
	});

	it("refuses a lane only when it is known what the others of the same question were granted", () => {
		const ledger = new Ledger([], 0);
		holder(ledger, "b")({ want: 9_000 }, 0);
		const ask = { generation: 1, need: 0, want: 0, held: 0, done: 0, returned: 0 };
		const lanes = [
			{ ...ask, lane: list, need: 100 },
			{ ...ask, lane: sign, want: 1_000 },
		];
		const question = { holder: "a", number: 1, isComplete: true, lanes };
		const [refused, signed] = ledger.lease(question, config, shard, 0);
		expect(signed?.granted).toBe(1_000);
		// The reserve is to fill first, and then a token above it.
		expect(refused?.refusal?.waitMs).toBe(2_100);
	});

	it("says when there will be enough, and never when there never will be", () => {
		const ledger = new Ledger([], 0);
		const a = holder(ledger, "a");
		a({ want: all }, 0);
		expect(a({ done: all, need: 500 }, 0).refusal).toMatchObject({ waitMs: 500 });
		expect(a({ done: all, need: 500 }, 499).granted).toBe(0);
		expect(a({ done: all, need: 500 }, 500).granted).toBe(500);
		expect(a({ done: all, need: all + 1 }, 0).refusal).toMatchObject({ waitMs: -1 });
	});

	it("takes nothing back into a bucket that was another one when it was granted", () => {
		const ledger = new Ledger([], 0);
		expect(holder(ledger, "a")({ want: 8_000 }, 0).granted).toBe(8_000);
		const small = tenantConfig.parse({
			limits_config: { tenant: { quota: 10, window_seconds: 10 }, operations: { sign: null } },
		});
		const a = holder(ledger, "a", small);
		expect(a({ number: 2, want: all }, 0).granted).toBe(200); // a fifth was left, and is
		expect(a({ number: 3, done: 8_200, returned: 8_000, want: all }, 0).granted).toBe(0);
	});

	it("counts what is held of a limit that came while its lane was in use", () => {
		const roles = { signer: { quota: 10, window_seconds: 1 } };
		const limited = tenantConfig.parse({ limits_config: { roles, operations: { sign: null } } });
		const ledger = new Ledger([], 0);
		holder(ledger, "a")({ need: 100 }, 0);
		const a = holder(ledger, "a", limited);
		a({ number: 2, done: 100 }, 500);
		expect(a({ number: 3, done: 100, want: all }, 1_500).granted).toBe(1_000);
		// All of the bucket is held, so nothing fills it.
		expect(holder(ledger, "b", limited)({ want: all }, 2_500).granted).toBe(0);
	});

	it("takes nothing back into a bucket of a new limit that was granted before there was one", () => {
		const roles = { signer: { quota: 10, window_seconds: 3_600 } };
		const limited = tenantConfig.parse({ limits_config: { roles, operations: { sign: null } } });
		const ledger = new Ledger([], 0);
		expect(holder(ledger, "a")({ want: 5_000 }, 0).granted).toBe(5_000);
		const a = holder(ledger, "a", limited);
		expect(a({ number: 2, held: 5_000 }, 10).granted).toBe(0);
		expect(holder(ledger, "b", limited)({ need: 800 }, 15).granted).toBe(800);
		expect(a({ number: 3, done: 5_000, returned: 5_000, need: 1_000 }, 20).granted).toBe(0);
		expect(a({ number: 4, done: 5_000, returned: 5_000, need: 200 }, 30).granted).toBe(200);
	});

	it("takes nothing back late that was granted of a bucket of another size", () => {
		const small = tenantConfig.parse({
			limits_config: { tenant: { quota: 10, window_seconds: 10 }, operations: { sign: null } },
		});
		const ledger = new Ledger([], 0);
		expect(holder(ledger, "a")({ want: 8_000 }, 0).granted).toBe(8_000);
		const [a, b] = [holder(ledger, "a", small), holder(ledger, "b", small)];
		expect(b({ need: 200 }, 10).granted).toBe(200); // what has ended of it is b's to give back
		const late = leaseMs + 20;
		const told = { number: 2, done: 8_000, returned: 8_000 };
		expect(a({ ...told, need: 200 }, late).granted).toBe(0);
		expect(b({ done: 200, returned: 200, need: 200 }, late).granted).toBe(200);
	});

	it("believes no isolate that claims to have returned more than it was granted", () => {
		const ledger = new Ledger([], 0);
		const [a, b] = [holder(ledger, "a"), holder(ledger, "b")];
		a({ want: all }, 0);
		a({ done: 900_000, returned: 900_000 }, 0);
		expect(b({ want: 2 * all }, 0).granted).toBeLessThanOrEqual(all);
	});
});

describe("a fair share", () => {
	it("is no bound where there is enough", () => {
		expect(fairShare(100, [])).toBe(Number.POSITIVE_INFINITY);
		expect(fairShare(100, [20, 80])).toBe(Number.POSITIVE_INFINITY);
	});

	it("gives who wants little what they want, and the others the same each", () => {
		expect(fairShare(100, [10, 90, 90])).toBe(45);
		expect(fairShare(90, [50, 50, 50])).toBe(30);
		expect(fairShare(0, [1, 1])).toBe(0);
	});
});

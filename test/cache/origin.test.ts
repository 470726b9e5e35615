import { describe, expect, it } from "vitest";
import { Origin } from "../../src/cache/origin.ts";
import * as limits from "../../src/limits.ts";

function originOf() {
	const time = { now: 1_000 };
	const pings: { resolve: () => void; reject: (error: Error) => void }[] = [];
	const origin = new Origin(
		() => time.now,
		() => new Promise<void>((resolve, reject) => pings.push({ resolve, reject })),
	);
	const work: Promise<unknown>[] = [];
	const probe = () => origin.probe((one) => work.push(one));
	return { origin, time, pings, work, probe };
}

describe("an origin", () => {
	it("is asked behind requests while it is away, now and then, until it answers", async () => {
		const { origin, time, pings, work, probe } = originOf();
		probe();
		expect([origin.isAway, pings.length]).toEqual([false, 0]);
		origin.failed();
		for (let request = 0; request < 5; request++) probe();
		expect([origin.isAway, pings.length]).toEqual([true, 1]);
		pings[0]?.reject(new Error("gone"));
		await work[0];
		probe();
		expect(pings).toHaveLength(1);
		time.now += limits.originProbeMs;
		probe();
		pings[1]?.resolve();
		await work[1];
		expect(origin.isAway).toBe(false);
		time.now += limits.originProbeMs;
		probe();
		expect(pings).toHaveLength(2);
	});

	it("is believed to be away for a moment, and by who was idle since then no more", () => {
		const { origin, time, pings, probe } = originOf();
		origin.failed();
		time.now += limits.originBelievedMs - 1;
		expect(origin.isAway).toBe(true);
		time.now += 1;
		expect(origin.isAway).toBe(false);
		probe();
		expect(pings).toHaveLength(1); // it is asked all the same
		origin.failed();
		expect(origin.isAway).toBe(true);
	});

	it("is asked anew though the request behind which it was asked was cut off", () => {
		const { origin, time, pings, probe } = originOf();
		origin.failed();
		probe();
		time.now += limits.originProbeMs;
		probe();
		expect(pings).toHaveLength(2);
	});

	it("was away of late for some time after it came back", async () => {
		const { origin, time, pings, work, probe } = originOf();
		expect(origin.wasAwayOfLate).toBe(false);
		origin.failed();
		probe();
		pings[0]?.resolve();
		await work[0];
		expect(origin.wasAwayOfLate).toBe(true);
		time.now += limits.originTroubledMs;
		expect(origin.wasAwayOfLate).toBe(false);
	});
});

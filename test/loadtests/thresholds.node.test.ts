import { describe, expect, it } from "vitest";
import { Histogram } from "../../loadtests/generator/histogram.ts";
import { parseThresholds } from "../../loadtests/judge.ts";
import type { Running, Scenario } from "../../loadtests/scenario.ts";
import { scenarios } from "../../loadtests/scenarios/index.ts";
import { warningsOf } from "../../loadtests/summarise.ts";
import { holds, measuredOf, parseThreshold } from "../../loadtests/thresholds.ts";
import { latencyOf, type Summary } from "../../loadtests/timeline.ts";

const times = new Histogram();
for (let time = 1; time <= 100; time++) times.record(time);
const summary: Summary = {
	...{ seconds: 2, offered: 200, right: 180, errors: 15, dropped: 5, rate: 90 },
	latency: latencyOf(times),
	outcomes: { 200: 180, 429: 10, timeout: 5 },
};

function judge(text: string): boolean {
	const threshold = parseThreshold(text);
	return holds(threshold, measuredOf(threshold, { summary, times }));
}

describe("a threshold", () => {
	it.each([
		["p95<96ms", true],
		["p95<95ms", false],
		["p95<=0.0951s", true],
		["p50 < 51000us", true],
		["p99.9>99ms", true],
		["mean<51ms", true],
		["max<99ms", false],
		["errors<7.6%", true],
		["errors<7.5%", false],
		["dropped<=2.5%", true],
		["rate>89.9/s", true],
		["rate>90/s", false],
		["429>4.9%", true],
		["503<0.1%", true],
	])("%s is %s", (text, expected) => {
		expect(judge(text)).toBe(expected);
	});

	it("can be about a kind, a phase and what a scenario finds out", () => {
		expect(parseThreshold("sign:p99<100ms @after")).toMatchObject({
			...{ kind: "sign", metric: "p99", bound: 100, phase: "after" },
		});
		expect(parseThreshold("recovery<10s", { recovery: "time" })).toMatchObject({
			...{ metric: "recovery", bound: 10_000, isFigure: true },
		});
	});

	it("does not hold where nothing was measured", () => {
		const nothing = { summary: { ...summary, latency: null }, times: new Histogram() };
		const threshold = parseThreshold("p95<50ms");
		expect(holds(threshold, measuredOf(threshold, nothing))).toBe(false);
	});

	it("of p99.9 leaves out one of a thousand, and of p7 seven of a hundred", () => {
		const judged = (text: string, count: number) => {
			const times = new Histogram();
			for (let time = 1; time <= count; time++) times.record(time / 1000);
			return measuredOf(parseThreshold(text), { summary, times });
		};
		expect(judged("p99.9<1ms", 1_000)).toBe(0.999);
		expect(judged("p99.9<1ms", 2_000)).toBe(1.998);
		expect(judged("p7<1ms", 100)).toBe(0.007);
		expect(judged("p99.9<1ms", 1_001)).toBe(1);
	});

	it("can not ask for a kind or a phase of what is found out of the whole run", () => {
		const figures = { settled: "time" } as const;
		for (const text of ["sign:settled<10s", "settled<10s @after", "sign:settled<10s @nosuch"]) {
			expect(() => parseThreshold(text, figures)).toThrow("it has no kind and no phase");
		}
	});

	it.each(["steady", "spike", "soak", "users", "jobs", "attack"] as const)(
		"of %s can be about every phase that is measured, and no other",
		async (name) => {
			const scenario: Scenario = scenarios[name];
			const measured: string[] = [];
			await scenario.run({
				...({ sizes: scenario.sizes } as Running),
				load: async (phases) => {
					measured.push(...phases.flatMap(({ name, measured = true }) => (measured ? [name] : [])));
					return [];
				},
			});
			expect(scenario.phases).toEqual(measured);
			for (const phase of measured) {
				expect(parseThresholds(scenario, [`p95<50ms @${phase}`])).toMatchObject([{ phase }]);
			}
			expect(() => parseThresholds(scenario, ["p95<50ms @nosuch"])).toThrow("is about no phase");
		},
	);

	it("of every scenario's own is of phases and figures that it has", () => {
		for (const scenario of Object.values<Scenario>(scenarios)) {
			expect(parseThresholds(scenario, scenario.thresholds)).not.toEqual([]);
		}
	});

	it.each([
		["p95", "is not of the form"],
		["p95=50ms", "is not of the form"],
		["p95<50 parsecs", "is not of the form"],
		["speed<50ms", 'asks for "speed"'],
		["p100<50ms", 'asks for "p100"'],
		["p95<50", "must have a time"],
		["errors<5ms", "must have a share"],
		["rate>5%", "must have a rate"],
	])("%s is refused with the rule", (text, message) => {
		expect(() => parseThreshold(text)).toThrow(message);
	});
});

describe("the generator's warnings", () => {
	it("tell where it was late, had no processor left, or did not send", () => {
		expect(warningsOf(1, 0.3, 0)).toEqual([]);
		expect(warningsOf(25, 0.3, 0)).toEqual([expect.stringContaining("25.0 ms late")]);
		expect(warningsOf(1, 0.95, 0)).toEqual([expect.stringContaining("0.95 of a core")]);
		expect(warningsOf(1, 0.3, 7)).toEqual([expect.stringContaining("7 arrivals were never sent")]);
	});
});

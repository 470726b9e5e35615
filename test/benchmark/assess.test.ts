import { describe, expect, it } from "vitest";
import { assess } from "../../src/benchmark/assess.ts";
import { type FigureName, type Figures, figureNames } from "../../src/benchmark/figures.ts";
import { defaultConfig } from "../../src/config/schema.ts";
import { normalNoise, seeded } from "../support/noise.ts";
import { usual, usualBut } from "./support.ts";

const thresholds = defaultConfig.benchmarking_config.performance_thresholds;
const before = Array<Figures>(20).fill(usual);

/** The rules that are broken, by what broke them. */
function broken(figures: Figures, history: readonly Figures[] = before, limits = thresholds) {
	const { broken: found } = assess({ figures, unreachable: [] }, history, limits);
	return found.map(({ rule, subject, bottleneck }) => [rule, subject, bottleneck]);
}

describe("a measurement that is as usual", () => {
	it("breaks no rule, and says of each that it is kept", () => {
		const { broken: none, kept } = assess({ figures: usual, unreachable: [] }, before, thresholds);
		expect(none).toEqual([]);
		const rules = new Set(kept.map(({ rule }) => rule));
		expect(rules).toEqual(new Set([...Object.keys(thresholds), "regression", "unreachable"]));
		expect(new Set(kept.map(({ subject }) => subject))).toEqual(new Set(figureNames));
	});

	it("breaks none when it is the first", () => {
		expect(broken(usual, [])).toEqual([]);
	});
});

describe("each threshold", () => {
	it.each([
		["max_response_time_ms", usualBut({ responseMs: { verify: 101 } }), "responseMs.verify"],
		["max_memory_usage_mb", usualBut({ memoryMb: 129 }), "memoryMb"],
		["min_throughput_rps", usualBut({ throughputRps: 999 }), "throughputRps"],
	] as const)("%s is crossed by more than it allows", (rule, figures, subject) => {
		const { broken: found } = assess({ figures, unreachable: [] }, before, thresholds);
		expect(found).toMatchObject([{ rule, subject, threshold: thresholds[rule] }]);
	});

	it("is not crossed by what equals it", () => {
		const responseMs = { sign: 100, verify: 100, getKey: 100, getJwks: 100 };
		const figures = usualBut({ responseMs, memoryMb: 128, throughputRps: 1000 });
		expect(broken(figures)).toEqual([]);
	});

	it.each([
		[{ max_response_time_ms: 5 }, [["max_response_time_ms", "responseMs.sign", "durableObject"]]],
		[{ max_memory_usage_mb: 1 }, [["max_memory_usage_mb", "memoryMb", "worker"]]],
		[{ min_throughput_rps: 4001 }, [["min_throughput_rps", "throughputRps", "worker"]]],
	])("is what the configuration says: %j", (own, expected) => {
		expect(broken(usual, before, { ...thresholds, ...own })).toEqual(expected);
	});
});

describe("the bottleneck", () => {
	it.each([
		["postgres", usualBut({ responseMs: { getKey: 303 }, partsMs: { postgres: 302 } })],
		["durableObject", usualBut({ responseMs: { sign: 306 }, partsMs: { durableObject: 290 } })],
		["worker", usualBut({ responseMs: { verify: 301 }, partsMs: { postgres: 302 } })],
		["worker", usualBut({ responseMs: { sign: 306 }, partsMs: { durableObject: 50 } })],
		["worker", usualBut({ responseMs: { getKey: 303 } })],
	])(
		"is %s where that part's time rose most of those that the route waits for",
		(part, figures) => {
			const found = broken(figures).filter(([rule]) => rule === "max_response_time_ms");
			expect(found.map(([, , bottleneck]) => bottleneck)).toEqual([part]);
		},
	);

	it("is named by its share where there is no history to rise from", () => {
		const figures = usualBut({ responseMs: { getKey: 303 }, partsMs: { postgres: 302 } });
		expect(broken(figures, [])).toEqual([
			["max_response_time_ms", "responseMs.getKey", "postgres"],
		]);
	});

	it.each([
		["that is as slow as it was", 118, 115, 118, 114.5, "postgres"],
		["that goes to and fro across the threshold", 99, 95, 100.2, 95, "postgres"],
		["that is as slow as it was by itself", 118, 15, 118, 14.5, "worker"],
	])("is what takes most of a figure %s", (_, getKeyWas, postgresWas, getKey, postgres, part) => {
		const of = (getKey: number, postgres: number) =>
			usualBut({ responseMs: { getKey }, partsMs: { postgres } });
		const history = Array<Figures>(20).fill(of(getKeyWas, postgresWas));
		const [found, ...others] = assess(
			{ figures: of(getKey, postgres), unreachable: [] },
			history,
			thresholds,
		).broken;
		expect(found).toMatchObject({ subject: "responseMs.getKey", bottleneck: part });
		expect(found?.advice).not.toContain("slower");
		expect(others).toEqual([]);
	});

	it("of no answer is the worker, while what it waits for answers as usual", () => {
		const figures = usualBut({ responseMs: { getKey: null } });
		const measurement = { figures, unreachable: ["responseMs.getKey"] satisfies FigureName[] };
		const [found] = assess(measurement, before, thresholds).broken;
		expect(found).toMatchObject({ bottleneck: "worker" });
		expect(found?.advice).toMatch(/^It was refused, or not answered in time/);
	});

	it("comes with words that name it, what it took and what was usual", () => {
		const figures = usualBut({ responseMs: { getKey: 303 }, partsMs: { postgres: 302 } });
		const [found] = assess({ figures, unreachable: [] }, before, thresholds).broken;
		expect(found?.advice).toMatch(/^Postgres took 302 ms to answer, where 2 ms were usual\. \w+/);
	});
});

describe("what does not answer", () => {
	it("is told, with the part that a request could not do without", () => {
		const figures = usualBut({ responseMs: { getKey: null }, partsMs: { postgres: null } });
		const measurement = {
			figures,
			unreachable: ["partsMs.postgres", "responseMs.getKey"] satisfies FigureName[],
		};
		const { broken: found, kept } = assess(measurement, before, thresholds);
		expect(found.map(({ rule, subject, bottleneck }) => [rule, subject, bottleneck])).toEqual([
			["unreachable", "responseMs.getKey", "postgres"],
			["unreachable", "partsMs.postgres", "postgres"],
		]);
		expect(found[0]?.advice).toContain("Postgres did not answer");
		expect(kept).not.toContainEqual({ rule: "max_response_time_ms", subject: "responseMs.getKey" });
	});

	it("is not what there was no time for: of that nothing is said", () => {
		const figures = usualBut({ throughputRps: null });
		const { broken: found, kept } = assess({ figures, unreachable: [] }, before, thresholds);
		expect(found).toEqual([]);
		expect(kept.some(({ subject }) => subject === "throughputRps")).toBe(false);
	});
});

describe("a change against the history", () => {
	const noise = normalNoise(seeded(7));
	/** Runs whose Postgres takes about so long, and with it the route that asks it. */
	const runs = (count: number, postgres: number) =>
		Array.from({ length: count }, () => {
			const took = postgres * (1 + 0.05 * noise());
			return usualBut({ partsMs: { postgres: took }, responseMs: { getKey: took + 1 } });
		});
	const last = (history: Figures[]) => [history.at(-1) ?? usual, history.slice(0, -1)] as const;

	it("for the worse is a regression of each figure that moved, below any threshold", () => {
		expect(broken(...last([...runs(30, 10), ...runs(8, 20)]))).toEqual([
			["regression", "responseMs.getKey", "postgres"],
			["regression", "partsMs.postgres", "postgres"],
		]);
	});

	it("for the better is none, and ends one", () => {
		expect(broken(...last([...runs(30, 20), ...runs(8, 10)]))).toEqual([]);
		expect(broken(...last([...runs(30, 10), ...runs(8, 20), ...runs(8, 10)]))).toEqual([]);
	});

	it("is none where it is noise, or too small to be told of", () => {
		expect(broken(...last(runs(60, 10)))).toEqual([]);
		expect(broken(...last([...runs(30, 10), ...runs(20, 11.5)]))).toEqual([]);
		expect(broken(...last([...runs(30, 1), ...runs(20, 1.8)]))).toEqual([]); // under a millisecond
	});

	it("is told of none of 100 histories that are noise of 15 %", () => {
		const noisy = (value: number | null) => (value ?? 0) * (1 + 0.15 * noise());
		const run = (): Figures => {
			const { responseMs, partsMs, throughputRps, memoryMb } = usual;
			return usualBut({
				responseMs: { sign: noisy(responseMs.sign), getKey: noisy(responseMs.getKey) },
				partsMs: { postgres: noisy(partsMs.postgres), durableObject: noisy(partsMs.durableObject) },
				throughputRps: noisy(throughputRps),
				memoryMb: noisy(memoryMb),
			});
		};
		const alarms = Array.from({ length: 100 }, () => {
			return broken(...last(Array.from({ length: 100 }, run)));
		});
		expect(alarms.flat()).toEqual([]);
	});

	it("is a regression of the throughput where that falls", () => {
		const rates = [...Array(30).fill(4000), ...Array(8).fill(3000)] as number[];
		const history = rates.map((rate) => usualBut({ throughputRps: rate * (1 + 0.02 * noise()) }));
		expect(broken(...last(history))).toEqual([["regression", "throughputRps", "worker"]]);
	});

	it("does not stumble over runs that lack the figure", () => {
		const gaps = Array<Figures>(5).fill(usualBut({ partsMs: { postgres: null } }));
		const history = [...runs(15, 10), ...gaps, ...runs(15, 10), ...gaps, ...runs(8, 20)];
		expect(broken(...last(history))).toContainEqual(["regression", "partsMs.postgres", "postgres"]);
	});
});

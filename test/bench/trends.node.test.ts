import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { appendRun, type RecordedRun, readHistory } from "../../bench/history.ts";
import { formatTrends, sparkline, trendsOf } from "../../bench/trends.ts";
import { normalNoise, seeded } from "../support/noise.ts";

let folder = "";
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-history-"));
});
afterEach(() => rm(folder, { recursive: true }));

const machine = {
	processor: "Some CPU",
	cores: 2,
	memoryGiB: 8,
	system: "Linux 6",
	node: "v24",
	loadBefore: 0,
};

/** Run `day` of a series: its commit begins with its number. */
function run(day: number, figures: RecordedRun["figures"]): RecordedRun {
	return {
		version: 1,
		at: new Date(Date.UTC(2026, 0, 1 + day)).toISOString(),
		commit: String(day).padStart(7, "0").padEnd(40, "a"),
		changed: false,
		machine,
		figures,
	};
}

const sign = (value: number) => ({ "http/sign": { unit: "requests/s", value } });

describe("the history of runs", () => {
	test("is read as it was written, oldest first", async () => {
		const file = join(folder, "deep", "runs.jsonl");
		await appendRun(file, run(2, sign(5)));
		await appendRun(file, run(1, { "http/sign": { unit: "requests/s", value: 6, ratio: 0.3 } }));
		const [first, second, ...others] = await readHistory(file);
		expect(first?.figures["http/sign"]).toEqual({ unit: "requests/s", value: 6, ratio: 0.3 });
		expect(second?.commit).toMatch(/^0000002a/);
		expect(others).toEqual([]);
	});

	test("names the line that is no run", async () => {
		const file = join(folder, "runs.jsonl");
		await writeFile(file, `${JSON.stringify(run(1, sign(5)))}\n{"version": 1}\n`);
		await expect(readHistory(file)).rejects.toThrow("runs.jsonl:2 is no recorded run");
		await writeFile(file, "<<<<<<< HEAD\n");
		await expect(readHistory(file)).rejects.toThrow("runs.jsonl:1 is no recorded run");
	});

	test("keeps a run whole that comes after a line which was cut off", async () => {
		const file = join(folder, "runs.jsonl");
		const line = JSON.stringify(run(1, sign(5)));
		await writeFile(file, `${line}\n${line.slice(0, 80)}`);
		await appendRun(file, run(2, sign(6)));
		await expect(readHistory(file)).rejects.toThrow("runs.jsonl:2 is no recorded run");
		const lines = (await readFile(file, "utf8")).split("\n");
		await writeFile(file, lines.toSpliced(1, 1).join("\n"));
		expect(await readHistory(file)).toEqual([run(1, sign(5)), run(2, sign(6))]);
	});

	test("that is not there says how to begin one", async () => {
		await expect(readHistory(join(folder, "none.jsonl"))).rejects.toThrow("--record");
	});
});

describe("trends", () => {
	const normal = normalNoise(seeded(8));
	const slowed = Array.from({ length: 30 }, (_, day) =>
		run(day, sign((day < 20 ? 5_000 : 4_000) * (1 + 0.02 * normal()))),
	);

	test("name the run since which a figure is worse", () => {
		const text = formatTrends(slowed, /./);
		expect(text).toContain("30 runs, 1 figures, 1 changes");
		expect(text).toMatch(/WORSE since 0000020 of 2026-01-21.*\(-(19|20)\.\d %\)/);
	});

	test("know that fewer milliseconds are better", () => {
		const runs = slowed.map(({ figures, ...rest }) => ({
			...rest,
			figures: { wait: { unit: "ms", value: figures["http/sign"]?.value ?? 0 } },
		}));
		expect(formatTrends(runs, /./)).toContain("better since 0000020");
	});

	test.each([
		["objects", 0, 500, "WORSE since 0000020 of 2026-01-21: 0 to 500, p"],
		["kinds", 3, 0, "better since 0000020 of 2026-01-21: 3 to 0 (-100.0 %), p"],
		["points", 0.5, 9, "WORSE since 0000020 of 2026-01-21: 0.5 to 9 (+1700.0 %), p"],
		["connections", 20, 50, "WORSE since 0000020 of 2026-01-21: 20 to 50 (+150.0 %), p"],
		["%", 95, 80, "WORSE since 0000020 of 2026-01-21: 95 to 80 (-15.8 %), p"],
	])("know of %s what is worse, and no share of nothing", (unit, before, after, told) => {
		const runs = Array.from({ length: 40 }, (_, day) =>
			run(day, { figure: { unit, value: day < 20 ? before : after } }),
		);
		expect(formatTrends(runs, /./)).toContain(told);
	});

	test("are of the ratio where a figure has one: a slow day of the machine is no change", () => {
		const runs = slowed.map((one) => ({
			...one,
			figures: {
				"http/sign": {
					unit: "requests/s",
					value: one.figures["http/sign"]?.value ?? 0,
					ratio: 0.5,
				},
			},
		}));
		expect(trendsOf(runs, /./)).toMatchObject([{ unit: "ratio (requests/s)", changes: [] }]);
	});

	test("of a hundred figures show no change together where there is none", () => {
		const runs = Array.from({ length: 60 }, (_, day) => {
			const value = () => 100 * (1 + 0.07 * normal());
			const figures = Array.from({ length: 100 }, (_, at) => [
				`figure-${at}`,
				{ unit: "ms", value: value() },
			]);
			return run(day, Object.fromEntries(figures));
		});
		expect(trendsOf(runs, /./).flatMap(({ changes }) => changes)).toEqual([]);
	});

	test("leave out runs of another machine, and runs that lack the figure", () => {
		const other = { ...run(3, sign(9)), machine: { ...machine, cores: 64 } };
		const runs = [run(1, sign(5)), run(2, {}), other, run(4, sign(6))];
		expect(trendsOf(runs, /sign/)).toMatchObject([{ values: [5, 6] }]);
	});

	test("that nobody recorded are a problem that is told", () => {
		expect(() => formatTrends(slowed, /nothing/)).toThrow(
			'no recorded figure has an id like "nothing"',
		);
	});
});

describe("a sparkline", () => {
	test("goes from the lowest value to the highest", () => {
		expect(sparkline([1, 2, 3, 4, 5, 6, 7, 8])).toBe("▁▂▃▄▅▆▇█");
		expect(sparkline([5, 5, 5])).toBe("▄▄▄");
		expect(sparkline([])).toBe("");
	});

	test("of many values has 60 columns, each a mean", () => {
		const line = sparkline(Array.from({ length: 1_000 }, (_, index) => (index < 500 ? 0 : 1)));
		expect(line).toBe("▁".repeat(30) + "█".repeat(30));
	});
});

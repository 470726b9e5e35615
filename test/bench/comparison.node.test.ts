import { describe, expect, test } from "vitest";
import type { Generator, Measured } from "../../bench/generator.ts";
import { readOptions } from "../../bench/options.ts";
import type { Plan } from "../../bench/plan.ts";
import { commitOf } from "../../bench/revision.ts";
import { runRounds } from "../../bench/rounds.ts";
import type { Side } from "../../bench/sides.ts";

const plan: Plan = {
	seconds: { micro: 1, http: 1 },
	keys: 1,
	rows: 1,
	requests: null,
	wants: () => true,
	progress: () => {},
	done: () => {},
	signal: new AbortController().signal,
};

/** Sides that say in `log` what is done with them; a process answers as many requests as it is told to. */
function fakes(answers: Readonly<Record<"a" | "b", number>>) {
	const log: string[] = [];
	const side = (name: "a" | "b"): Side => ({
		name,
		request: name,
		async start() {
			log.push(`start ${name}`);
			const pid = () => undefined;
			return {
				port: 0,
				url: "",
				pid,
				scheduled: async () => {},
				stop: async () => void log.push(`stop ${name}`),
			};
		},
	});
	const generator: Generator = {
		async run(_, { request, measureMs }) {
			log.push(request);
			const answered = answers[request as "a" | "b"];
			return {
				answered,
				answeredInAll: answered,
				perSecond: (1000 * answered) / measureMs,
			} as Measured;
		},
	};
	return { log, generator, sides: [side("a"), side("b")] as const };
}

describe("a paired comparison", () => {
	test("has fresh processes in each round, and who is first changes from block to block and round to round", async () => {
		const { log, generator, sides } = fakes({ a: 6_000, b: 6_000 });
		await runRounds(plan, "x", generator, sides, 2);
		const rounds = log.join(" ").split(/(?<=stop [ab]) (?=start)/);
		expect(rounds).toEqual([
			`start a start b a b ${"a b b a ".repeat(8)}stop a stop b`,
			`start b start a b a ${"b a a b ".repeat(8)}stop b stop a`,
		]);
	});

	test("counts what each side answered", async () => {
		const { generator, sides } = fakes({ a: 6_000, b: 5_000 });
		const [a, b] = await runRounds(plan, "x", generator, sides, 3);
		expect(a.perSecond).toEqual([30_000, 30_000, 30_000]);
		expect(b.perSecond).toEqual([25_000, 25_000, 25_000]);
		expect(a.perCpuSecond.every(Number.isNaN)).toBe(true);
	});

	test("warms a slow side for as many requests as a fast one", async () => {
		const { log, generator, sides } = fakes({ a: 2_000, b: 6_000 });
		await runRounds(plan, "x", generator, sides, 1);
		expect(log.slice(0, 6).join(" ")).toBe("start a start b a a a b");
	});
});

describe("the options of npm run bench", () => {
	test("have their usual values by command", () => {
		expect(readOptions([])).toMatchObject({ command: "measure", against: null, record: false });
		expect(readOptions(["aa"])).toMatchObject({ command: "aa", rounds: 50 });
		expect(readOptions(["planted", "--percent", "10"])).toMatchObject({ rounds: 50, percent: 10 });
		expect(readOptions(["--against", "HEAD~1", "--rounds", "9"])).toMatchObject({ rounds: 9 });
	});

	test.each([
		[["bb"], 'not "bb"'],
		[["aa", "planted"], 'not "aa planted"'],
		[["aa", "--against", "HEAD"], "--against"],
		[["aa", "--record"], "--record"],
		[["--against", "HEAD", "--record"], "--record"],
		[["--only", "("], "--only"],
		[["--rounds", "0"], "--rounds"],
		[["--percent", "5.5"], "--percent"],
		[["--seconds", "9999"], "--seconds"],
	])("refuse %j with a word about %s", (args, words) => {
		expect(() => readOptions(args)).toThrow(words);
	});

	test.each(["no-such-revision", "--output=/tmp/x", "HEAD:package.json"])(
		"a revision %s that is none is told",
		async (name) => {
			await expect(commitOf(name)).rejects.toThrow(`git knows no revision "${name}"`);
		},
	);
});

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Problem } from "../local/problem.ts";
import type { Figure } from "./figures.ts";
import { type Generator, remarksOn, startGenerator } from "./generator.ts";
import { runMicroRounds } from "./micro-rounds.ts";
import { wantedSubjects } from "./micro-subjects.ts";
import type { Plan } from "./plan.ts";
import { checkOut, commitOf, hasSamePackages } from "./revision.ts";
import { runRounds } from "./rounds.ts";
import { openSide, type Side } from "./sides.ts";
import { judgeAll, type Rates } from "./verdict.ts";
import { type BenchWorker, benchConfig, buildWorker, type Ground, projectRoot } from "./workers.ts";

const signId = "http/sign";
const calibration = { connections: 16, warmUpMs: 1_500, measureMs: 4_000, rate: null };
const settleMs = 500;

/** The service beside itself, built twice: what is called different here is a false alarm. */
export async function compareWithItself(
	plan: Plan,
	ground: Ground,
	rounds: number,
): Promise<Figure[]> {
	const generator = startGenerator(ground, plan.signal);
	plan.progress("aa: building the service twice");
	const sides = [
		await openSide(ground, { name: "again" }),
		await openSide(ground, { name: "service" }),
	] as const;
	return judgeAll(await ratesOfSign(plan, "aa", generator, sides, rounds), "the same");
}

/** The service with so much more work in its sign path, in percent of its processor time, beside itself. */
export async function compareWithPlanted(
	plan: Plan,
	ground: Ground,
	rounds: number,
	percent: number,
): Promise<Figure[]> {
	const generator = startGenerator(ground, plan.signal);
	plan.progress("planted: building the service with and without a delay");
	const plain = await openSide(ground, { name: "service" });
	const microseconds = (await microsecondsOfSign(generator, plain)) * (percent / 100);
	const main = join(projectRoot, "bench", "worker", "planted", "index.ts");
	const planted = await openSide(ground, {
		name: "planted",
		variant: { main },
		prepare: (worker) => plant(worker, microseconds),
	});
	const rates = await ratesOfSign(plan, "planted", generator, [planted, plain], rounds);
	const note = `${microseconds.toFixed(1)} µs of the processor are planted: ${percent} % of a sign request`;
	return judgeAll(noted(rates, [note]), "without it");
}

/** With what is to be known of all of them, told once. */
function noted([first, ...rest]: readonly Rates[], notes: readonly string[]): Rates[] {
	return first ? [{ ...first, notes: [...notes, ...(first.notes ?? [])] }, ...rest] : [];
}

async function plant({ url }: BenchWorker, microseconds: number): Promise<void> {
	const response = await fetch(`${url}/plant?us=${microseconds}`, { method: "POST" });
	const { spins } = (await response.json()) as { spins: number };
	if (!(spins > 0)) throw new Error("nothing was planted");
}

/** Of the server's processor time, each. */
async function microsecondsOfSign(generator: Generator, side: Side): Promise<number> {
	const worker = await side.start();
	const { serverSecondsEach } = await generator.run(worker, {
		...calibration,
		request: side.request,
	});
	await worker.stop();
	if (serverSecondsEach === null) {
		throw new Problem("this system does not tell what a process uses: there is no /proc");
	}
	return 1e6 * serverSecondsEach;
}

/** This project as it is on the disk beside a revision of it, each in its own way from the source on. */
export async function compareWithRevision(
	plan: Plan,
	ground: Ground,
	rounds: number,
	revision: string,
): Promise<Figure[]> {
	const commit = await commitOf(revision);
	const beside = commit.slice(0, 7);
	plan.progress(`building ${beside}`);
	const root = await checkOut(ground, commit);
	const notes: string[] = [];
	if (!(await hasSamePackages(commit))) {
		notes.push(`${beside} is built with the packages of this revision, not with its own`);
	}
	const rates: Rates[] = [];
	const wanted = await wantedSubjects(plan);
	if (wanted.length > 0) {
		const own = await buildWorker(ground, "micro", benchConfig("micro"));
		const other = await buildWorker(ground, `micro-${beside}`, benchConfig("micro", root)).catch(
			(error: unknown) => {
				if (!(error instanceof Problem) || !plan.wants(signId)) throw error;
				notes.push(`${beside} has other insides, so there are no micro benchmarks of it`);
				return null;
			},
		);
		if (other) {
			const entrants = [
				{ built: own, turn: "service" },
				{ built: other, turn: "service" },
			] as const;
			rates.push(...(await runMicroRounds(plan, ground, wanted, entrants, rounds)));
		}
	}
	if (plan.wants(signId)) {
		const generator = startGenerator(ground, plan.signal);
		const sides = [
			await openSide(ground, { name: "service" }),
			await openSide(ground, { name: `service-${beside}`, root }),
		] as const;
		rates.push(...(await ratesOfSign(plan, signId, generator, sides, rounds)));
	}
	return judgeAll(noted(rates, notes), beside);
}

async function ratesOfSign(
	plan: Plan,
	id: string,
	generator: Generator,
	sides: readonly [Side, Side],
	rounds: number,
): Promise<Rates[]> {
	await sleep(settleMs); // the build before has just ended
	const [own, other] = await runRounds(plan, id, generator, sides, rounds);
	const notes = remarksOn([...own.outcomes, ...other.outcomes]);
	const perSecond: Rates = {
		id,
		unit: "requests/s",
		values: own.perSecond,
		besides: other.perSecond,
		notes,
	};
	if (![...own.perCpuSecond, ...other.perCpuSecond].every(Number.isFinite)) return [perSecond];
	const [values, besides] = [own.perCpuSecond, other.perCpuSecond];
	return [{ id: `${id}/cpu`, unit: "requests/CPU s", values, besides }, perSecond];
}

import { describeMachine } from "../bench/figures.ts";
import { Problem } from "../local/problem.ts";
import type { Mix, PhaseJob } from "./generator/messages.ts";
import { type GeneratorProcess, startGenerator } from "./generator/process.ts";
import { checkKinds, judgeAll, judgeSample, parseThresholds } from "./judge.ts";
import { limits } from "./limits.ts";
import { watchServer } from "./processes.ts";
import { prepareKind, type RequestKind } from "./requests.ts";
import type { LoadResult } from "./results.ts";
import type {
	Phase,
	PhaseOutcome,
	Running,
	Scenario,
	ScenarioFigure,
	Sizes,
	Traffic,
} from "./scenario.ts";
import { summarise } from "./summarise.ts";
import type { Target } from "./target.ts";
import type { Threshold } from "./thresholds.ts";
import { type Interval, Timeline } from "./timeline.ts";

export interface RunSettings {
	readonly target: Target;
	/** What differs from the scenario's own sizes. */
	readonly sizes?: Partial<Sizes>;
	/** In the place of the scenario's own. */
	readonly thresholds?: readonly string[];
	/** Decides the order of kinds and the pauses of users; 1 by default. */
	readonly seed?: number;
	/** Connections of open loads at once; 512 by default. */
	readonly connections?: number;
	readonly timeoutMs?: number;
	/** How the run was asked for, for the report. */
	readonly command?: string;
	/** Told some times a second what was measured so far. */
	readonly onProgress?: (progress: Progress) => void;
	/** Told when a phase begins, with its name and whether it is measured. */
	readonly onPhase?: (phase: Phase) => void;
	/** Aborted when the run is to end early: the promise rejects. */
	readonly signal?: AbortSignal;
}

/** How far a run is, over the last two seconds. */
export interface Progress {
	readonly phase: string;
	readonly seconds: number;
	readonly rate: number;
	readonly p50: number | null;
	readonly p95: number | null;
	readonly errors: number;
	readonly dropped: number;
}

const connectionsDefault = 512;
const recentMs = 2_000;

/**
 * Runs a scenario against a target to its end, with the load generator in a process of its own. The
 * target is not stopped. Latencies are in milliseconds, from the scheduled moment of each request.
 * @example
 * const target = await ownTarget(); // or ownTarget({ inspectorPort: 9229 }), or remoteTarget(url, token, false)
 * const result = await runScenario(scenarios.steady, { target, sizes: { rate: 500, seconds: 10 } });
 * result.overall.latency?.p95; result.kinds; result.thresholds; result.passed;
 * await target.stop();
 * @returns what the JSON file of `npm run load` has
 * @throws Problem when a threshold can not be read, or the scenario needs a stack of its own
 */
export async function runScenario(scenario: Scenario, settings: RunSettings): Promise<LoadResult> {
	const { target, signal, seed = 1, timeoutMs = limits.requestTimeoutMs } = settings;
	const thresholds = parseThresholds(scenario, settings.thresholds ?? scenario.thresholds);
	if (scenario.needsStack && !target.stack) {
		throw new Problem(`the scenario ${scenario.name} needs a stack of its own, without --url`);
	}
	const sizes: Sizes = { ...scenario.sizes, ...settings.sizes };
	const machine = describeMachine();
	const at = new Date().toISOString();
	const kinds = await scenario.prepare(target, sizes);
	checkKinds(thresholds, kinds);
	const run = new ScenarioRun(scenario, settings, { kinds, sizes, thresholds });
	const generator = startGenerator((pulse) => run.timeline.add(pulse));
	const onAbort = () => void generator.end();
	signal?.addEventListener("abort", onAbort);
	try {
		signal?.throwIfAborted();
		const { host, port, tls, url } = target;
		const origin = await generator.open({
			...{ host, port, tls, seed, timeoutMs },
			connections: settings.connections ?? connectionsDefault,
			waitingMax: limits.waitingMax,
			kinds: kinds.map((kind) => prepareKind(kind, new URL(url).host)),
		});
		await run.execute(generator, origin);
	} catch (error) {
		signal?.throwIfAborted();
		throw error;
	} finally {
		signal?.removeEventListener("abort", onAbort);
		await generator.end();
	}
	return summarise({
		...{ scenario, kinds, sizes, seed, at, machine },
		command: settings.command ?? `runScenario ${scenario.name}`,
		target: { url: target.url, isOwnStack: target.stack !== null },
		timeline: run.timeline,
		phases: run.phases,
		marks: run.marks,
		figures: run.figures,
		server: run.server,
		thresholds: judgeAll(scenario, thresholds, run),
	});
}

interface Prepared {
	readonly kinds: readonly RequestKind[];
	readonly sizes: Sizes;
	readonly thresholds: readonly Threshold[];
}

/** A run while it goes on: what it collects, and what its scenario sees of it. */
class ScenarioRun {
	readonly timeline: Timeline;
	readonly phases: PhaseOutcome[] = [];
	readonly figures: ScenarioFigure[] = [];
	readonly marks: { seconds: number; text: string }[] = [];
	readonly kinds: readonly RequestKind[];
	server: LoadResult["server"] = [];
	readonly #scenario: Scenario;
	readonly #settings: RunSettings;
	readonly #prepared: Prepared;
	#phase = "";

	constructor(scenario: Scenario, settings: RunSettings, prepared: Prepared) {
		this.#scenario = scenario;
		this.#settings = settings;
		this.#prepared = prepared;
		this.kinds = prepared.kinds;
		this.timeline = new Timeline(prepared.kinds);
	}

	async execute(generator: GeneratorProcess, origin: number): Promise<void> {
		const { target, signal = new AbortController().signal } = this.#settings;
		const now = () => performance.timeOrigin + performance.now() - origin;
		const watch = target.stack ? watchServer(now) : null;
		const progress = setInterval(() => this.#tell(now()), limits.progressMs);
		const running: Running = {
			target,
			sizes: this.#prepared.sizes,
			load: (phases) => this.#load(generator, now, phases),
			cutShort: generator.cutShort,
			now,
			summary: (when, names) => this.timeline.summary([when].flat(), this.#numbers(names)),
			server: () => watch?.samples ?? [],
			mark: (text) => this.marks.push({ seconds: now() / 1000, text }),
			figure: (figure) => this.figures.push(figure),
			signal,
		};
		try {
			await this.#scenario.run(running);
		} finally {
			clearInterval(progress);
			watch?.stop();
			this.server = watch?.samples ?? [];
		}
	}

	/** Numbers of kinds by their names; of all that are not hostile when there are none. */
	#numbers(names?: readonly string[]): number[] {
		return this.kinds.flatMap(({ name, hostile }, number) =>
			(names ? names.includes(name) : !hostile) ? [number] : [],
		);
	}

	async #load(
		generator: GeneratorProcess,
		now: () => number,
		phases: readonly Phase[],
	): Promise<PhaseOutcome[]> {
		const whole = phases.map((phase) => ({ ...phase, seconds: inCells(phase.seconds) }));
		const jobs = whole.map((phase): PhaseJob => this.#job(phase));
		let timers: NodeJS.Timeout[] = [];
		const { from, to } = await generator
			.run(jobs, (start) => {
				timers = this.#follow(whole, start - now());
			})
			.finally(() => {
				for (const timer of timers) clearTimeout(timer);
			});
		const outcomes: PhaseOutcome[] = [];
		let begin = from;
		for (const { name, seconds, measured = true } of whole) {
			const end = Math.min(begin + seconds * 1000, to);
			if (end <= begin) break;
			outcomes.push(this.#outcome({ from: begin, to: end }, name, measured));
			begin = end;
		}
		this.phases.push(...outcomes);
		return outcomes;
	}

	#job({ seconds, loads }: Phase): PhaseJob {
		return {
			seconds,
			loads: loads.map((load) => {
				const mix = this.#mix(load.mix);
				if ("rate" in load) {
					const { rate, rateTo = rate } = load;
					return { model: "open", rateFrom: rate, rateTo, mix };
				}
				const { users, thinkMs, rampMs = 0 } = load;
				return { model: "closed", users, thinkMs, rampMs, mix };
			}),
		};
	}

	#mix(traffic: Traffic): Mix {
		return Object.entries(traffic).map(([name, weight]) => {
			const number = this.kinds.findIndex((kind) => kind.name === name);
			if (number === -1) throw new Error(`the scenario prepared no kind "${name}"`);
			return [number, weight];
		});
	}

	/** Follows the phases by the clock, for the progress line and for whoever watches. */
	#follow(phases: readonly Phase[], fromNowMs: number): NodeJS.Timeout[] {
		let at = fromNowMs;
		return phases.map((phase) => {
			const begin = () => {
				this.#phase = phase.name;
				this.#settings.onPhase?.(phase);
				phase.onBegin?.();
			};
			const timer = setTimeout(begin, Math.max(0, at));
			at += phase.seconds * 1000;
			return timer;
		});
	}

	#outcome(interval: Interval, name: string, measured: boolean): PhaseOutcome {
		const numbers = this.#numbers();
		const summary = this.timeline.summary([interval], numbers);
		const judged = this.#prepared.thresholds.filter(({ phase }) => !phase || phase === name);
		const holds = judged.every(
			(threshold) => judgeSample(this, threshold, [interval])?.holds ?? true,
		);
		return { ...interval, name, measured, summary, holds };
	}

	#tell(now: number): void {
		const { onProgress } = this.#settings;
		if (!onProgress) return;
		// What ended a moment ago is still on its way from the generator.
		const to = now - limits.flushMs;
		const recent = this.timeline.summary(
			[{ from: Math.max(0, to - recentMs), to }],
			this.#numbers(),
		);
		onProgress({
			phase: this.#phase,
			seconds: now / 1000,
			rate: recent.rate,
			p50: recent.latency?.p50 ?? null,
			p95: recent.latency?.p95 ?? null,
			...this.timeline.failures(this.#numbers()),
		});
	}
}

/** A whole number of cells, and one at the least. */
function inCells(seconds: number): number {
	return (Math.max(1, Math.round((seconds * 1000) / limits.cellMs)) * limits.cellMs) / 1000;
}

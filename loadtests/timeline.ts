import { Histogram, type SparseCounts } from "./generator/histogram.ts";
import type { CellReport, Pulse } from "./generator/messages.ts";
import { limits } from "./limits.ts";

/** From one time of the run to another, in milliseconds from its beginning. */
export interface Interval {
	readonly from: number;
	readonly to: number;
}

/** Times in milliseconds from the scheduled moment; null where nothing was answered. */
export interface Latency {
	readonly mean: number;
	readonly p50: number;
	readonly p90: number;
	readonly p95: number;
	readonly p99: number;
	readonly p999: number;
	readonly max: number;
}

/** What became of the requests that were scheduled in an interval. */
export interface Summary {
	readonly seconds: number;
	/** Arrivals on the schedule, those included that were dropped. */
	readonly offered: number;
	/** Answers as they should be. */
	readonly right: number;
	/** Other answers, time-outs and connections that failed. */
	readonly errors: number;
	/** Never sent: too many waited already. */
	readonly dropped: number;
	/** Right answers per second, when they came. */
	readonly rate: number;
	readonly latency: Latency | null;
	/** Requests by status, or by what went wrong where there was none. */
	readonly outcomes: Readonly<Record<string, number>>;
}

/** Mutable sums of cells. */
interface Sums {
	offered: number;
	dropped: number;
	completed: number;
	readonly outcomes: Map<string, number>;
	readonly times: SparseCounts[];
}

/** A pulse without its cells. */
export type Beat = Omit<Pulse, "type" | "cells">;

/** Everything that was measured, by cell and kind; any interval can be asked for afterwards. */
export class Timeline {
	readonly #kinds: readonly { readonly expects: readonly number[] }[];
	readonly #cells = new Map<number, Sums>();
	readonly #beats: Beat[] = [];
	/** Of the whole run, by kind: what is asked for again and again while it goes on. */
	readonly #failed: { errors: number; dropped: number }[];

	constructor(kinds: readonly { readonly expects: readonly number[] }[]) {
		this.#kinds = kinds;
		this.#failed = kinds.map(() => ({ errors: 0, dropped: 0 }));
	}

	add({ type: _, cells, ...beat }: Pulse): void {
		for (const report of cells) this.#addCell(report);
		this.#beats.push(beat);
	}

	#addCell({ cell, kind, offered, dropped, completed, outcomes, times }: CellReport): void {
		const sums = this.#at(cell, kind);
		const failed = this.#failed[kind];
		sums.offered += offered;
		sums.dropped += dropped;
		sums.completed += completed;
		if (times.length > 0) sums.times.push(times);
		for (const [name, count] of Object.entries(outcomes)) {
			sums.outcomes.set(name, (sums.outcomes.get(name) ?? 0) + count);
			if (failed && !this.#isRight(kind, name)) failed.errors += count;
		}
		if (failed) failed.dropped += dropped;
	}

	#isRight(kind: number, outcome: string): boolean {
		return this.#kinds[kind]?.expects.includes(Number(outcome)) ?? false;
	}

	/** Errors and dropped arrivals of the kinds, since the beginning. */
	failures(kinds: readonly number[]): { readonly errors: number; readonly dropped: number } {
		const all = kinds.flatMap((kind) => this.#failed[kind] ?? []);
		return {
			errors: all.reduce((sum, { errors }) => sum + errors, 0),
			dropped: all.reduce((sum, { dropped }) => sum + dropped, 0),
		};
	}

	#at(cell: number, kind: number): Sums {
		const key = cell * this.#kinds.length + kind;
		const found = this.#cells.get(key);
		if (found) return found;
		const made = { offered: 0, dropped: 0, completed: 0, outcomes: new Map(), times: [] };
		this.#cells.set(key, made);
		return made;
	}

	/** The times of the kinds in the intervals, as one histogram. */
	times(intervals: readonly Interval[], kinds: readonly number[]): Histogram {
		const histogram = new Histogram();
		for (const { times } of this.#sums(intervals, kinds)) {
			for (const sparse of times) histogram.add(sparse);
		}
		return histogram;
	}

	/** How late the generator noticed arrivals in the intervals. */
	lag(intervals: readonly Interval[]): Histogram {
		const histogram = new Histogram();
		for (const interval of intervals) {
			for (const { lag } of this.beatsIn(interval)) histogram.add(lag);
		}
		return histogram;
	}

	beatsIn({ from, to }: Interval): Beat[] {
		const { cellMs } = limits;
		return this.#beats.filter(({ cell }) => cell * cellMs >= from && cell * cellMs < to);
	}

	/** What became of the kinds' requests that were scheduled in the intervals, all together. */
	summary(intervals: readonly Interval[], kinds: readonly number[]): Summary {
		const outcomes = new Map<string, number>();
		let [offered, right, dropped, completed] = [0, 0, 0, 0];
		for (const sums of this.#sums(intervals, kinds)) {
			offered += sums.offered;
			dropped += sums.dropped;
			completed += sums.completed;
			for (const [name, count] of sums.outcomes) {
				outcomes.set(name, (outcomes.get(name) ?? 0) + count);
				if (this.#isRight(sums.kind, name)) right += count;
			}
		}
		const ended = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
		const seconds = intervals.reduce((sum, { from, to }) => sum + (to - from) / 1000, 0);
		return {
			seconds,
			offered,
			right,
			errors: ended - right,
			dropped,
			rate: seconds > 0 ? completed / seconds : 0,
			latency: latencyOf(this.times(intervals, kinds)),
			outcomes: Object.fromEntries([...outcomes].sort(([, a], [, b]) => b - a)),
		};
	}

	*#sums(
		intervals: readonly Interval[],
		kinds: readonly number[],
	): Generator<Sums & { readonly kind: number }> {
		for (const { from, to } of intervals) {
			const last = Math.round(to / limits.cellMs);
			for (let cell = Math.round(from / limits.cellMs); cell < last; cell++) {
				for (const kind of kinds) {
					const sums = this.#cells.get(cell * this.#kinds.length + kind);
					if (sums) yield { ...sums, kind };
				}
			}
		}
	}
}

export function latencyOf(times: Histogram): Latency | null {
	if (times.count === 0) return null;
	const at = (p: number) => times.percentile(p);
	return {
		mean: times.mean,
		p50: at(0.5),
		p90: at(0.9),
		p95: at(0.95),
		p99: at(0.99),
		p999: at(0.999),
		max: times.max,
	};
}

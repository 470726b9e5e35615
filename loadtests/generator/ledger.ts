import { limits } from "../limits.ts";
import { Histogram } from "./histogram.ts";
import type { CellReport, PreparedKind } from "./messages.ts";
import type { Outcome } from "./pool.ts";
import type { Arrival } from "./sources.ts";

interface Cell {
	readonly cell: number;
	readonly kind: number;
	offered: number;
	dropped: number;
	completed: number;
	readonly outcomes: Record<string, number>;
	readonly times: Histogram;
}

/** What happened since it was last told, by cell of the timeline and kind of request. */
export class CellLedger {
	readonly #origin: number;
	readonly #kinds: readonly PreparedKind[];
	readonly #timeoutMs: number;
	readonly #cells = new Map<number, Cell>();
	/** Histograms are large: they are used again. */
	readonly #spare: Histogram[] = [];

	/** @param origin when the timeline begins, by the process's clock */
	constructor(origin: number, kinds: readonly PreparedKind[], timeoutMs: number) {
		this.#origin = origin;
		this.#kinds = kinds;
		this.#timeoutMs = timeoutMs;
	}

	cellAt(now: number): number {
		return Math.max(0, Math.floor((now - this.#origin) / limits.cellMs + 1e-6));
	}

	offered({ kind, scheduled }: Arrival): void {
		this.#at(scheduled, kind).offered++;
	}

	dropped({ kind, scheduled }: Arrival): void {
		this.#at(scheduled, kind).dropped++;
	}

	ended({ kind, scheduled }: Arrival, outcome: Outcome, now: number, code: string | null): void {
		const cell = this.#at(scheduled, kind);
		const isRight = typeof outcome === "number" && this.#kinds[kind]?.expects.includes(outcome);
		const name = isRight || code === null ? outcome : `${outcome} ${code}`;
		cell.outcomes[name] = (cell.outcomes[name] ?? 0) + 1;
		// It took this long at the least: left out, the slowest would make the rest look fast.
		if (outcome === "timeout") cell.times.record(this.#timeoutMs);
		if (!isRight) return;
		cell.times.record(now - scheduled);
		this.#at(now, kind).completed++;
	}

	take(): CellReport[] {
		const reports = Array.from(this.#cells.values(), ({ times, ...counts }) => {
			const report = { ...counts, times: times.take() };
			this.#spare.push(times);
			return report;
		});
		this.#cells.clear();
		return reports;
	}

	#at(time: number, kind: number): Cell {
		const cell = this.cellAt(time);
		const key = cell * this.#kinds.length + kind;
		const found = this.#cells.get(key);
		if (found) return found;
		const times = this.#spare.pop() ?? new Histogram();
		const made = { cell, kind, offered: 0, dropped: 0, completed: 0, outcomes: {}, times };
		this.#cells.set(key, made);
		return made;
	}
}

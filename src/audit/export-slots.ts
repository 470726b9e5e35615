import type { Clock } from "../lib/clock.ts";
import { limits } from "../limits.ts";

export interface SlotBounds {
	/** Exports of an isolate that go on beside each other. */
	readonly atOnce: number;
	/** How long an answer may take from being made to being sent: some never are. */
	readonly beginMs: number;
	/** How long a receiver may take nothing of what is there for it. */
	readonly idleMs: number;
	/** One that was not heard of for as long is gone: its request may have ended without a word. */
	readonly silentMs: number;
}

const usualBounds: SlotBounds = {
	atOnce: limits.auditExportsAtOnce,
	beginMs: limits.auditExportBeginMs,
	idleMs: limits.auditExportIdleMs,
	silentMs: limits.auditExportSilentMs,
};

/** The place of one export among those that an isolate has memory for. */
export interface ExportSlot {
	/** Says that it still goes on. */
	keep(): void;
	/** May be called again. */
	leave(): void;
}

/** The exports of an isolate: each holds a page of records or two for as long as its receiver wants. */
export class ExportSlots {
	readonly bounds: SlotBounds;
	readonly #clock: Clock;
	/** Until when each is taken, if nothing more is heard of it. */
	readonly #until = new Map<ExportSlot, number>();

	constructor(clock: Clock, bounds: SlotBounds = usualBounds) {
		this.#clock = clock;
		this.bounds = bounds;
	}

	get heldBytes(): number {
		return this.#until.size * limits.auditExportBytes;
	}

	/** null where there are as many as may be. */
	enter(): ExportSlot | null {
		const { atOnce, beginMs, silentMs } = this.bounds;
		const now = this.#clock();
		for (const [slot, until] of this.#until) if (until < now) this.#until.delete(slot);
		if (this.#until.size >= atOnce) return null;
		const slot: ExportSlot = {
			keep: () => this.#until.set(slot, this.#clock() + silentMs),
			leave: () => this.#until.delete(slot),
		};
		this.#until.set(slot, now + beginMs);
		return slot;
	}
}

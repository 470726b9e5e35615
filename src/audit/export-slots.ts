import type { Clock } from "../lib/clock.ts";
import * as limits from "../limits.ts";

export interface SlotBounds {
	/** Exports of an isolate that go on beside each other, and of one tenant. */
	readonly atOnce: number;
	readonly atOnceOfTenant: number;
	/** How long an answer may take from being made to being sent: some never are. */
	readonly beginMs: number;
	/** How long a receiver may take nothing of what is there for it. */
	readonly idleMs: number;
	/** One that was not heard of for as long is gone: its request may have ended without a word. */
	readonly silentMs: number;
}

const usualBounds: SlotBounds = {
	atOnce: limits.auditExportsAtOnce,
	atOnceOfTenant: limits.auditExportsOfTenant,
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

interface Place {
	readonly tenant: string;
	/** Until when it is taken, if nothing more is heard of it. */
	until: number;
}

/** The exports of an isolate: each holds a page of records or two for as long as its receiver wants. */
export class ExportSlots {
	readonly bounds: SlotBounds;
	readonly #clock: Clock;
	readonly #places = new Map<ExportSlot, Place>();

	constructor(clock: Clock, bounds: SlotBounds = usualBounds) {
		this.#clock = clock;
		this.bounds = bounds;
	}

	get heldBytes(): number {
		this.#forget(this.#clock());
		return this.#places.size * limits.auditExportBytes;
	}

	/** null where there are as many as may be. */
	enter(tenant: string): ExportSlot | null {
		const { atOnce, atOnceOfTenant, beginMs, silentMs } = this.bounds;
		const now = this.#clock();
		this.#forget(now);
		const places = [...this.#places.values()];
		const own = places.filter((place) => place.tenant === tenant);
		if (places.length >= atOnce || own.length >= atOnceOfTenant) return null;
		const place: Place = { tenant, until: now + beginMs };
		const slot: ExportSlot = {
			keep: () => {
				place.until = this.#clock() + silentMs;
				this.#places.set(slot, place);
			},
			leave: () => this.#places.delete(slot),
		};
		this.#places.set(slot, place);
		return slot;
	}

	#forget(now: number): void {
		for (const [slot, { until }] of this.#places) if (until < now) this.#places.delete(slot);
	}
}

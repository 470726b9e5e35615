import type { Clock } from "./clock.ts";
import { sleep } from "./sleep.ts";

export interface SemaphoreBounds {
	/** How many work at once. */
	readonly permits: number;
	/**
	 * Who works for longer goes behind those that wait. A permit that was not heard of for as long counts no
	 * more: its request may be gone, and would never give it back.
	 */
	readonly holdMs: number;
	/** How long one waits for a permit. */
	readonly waitMs: number;
	/** How often who waits looks for itself. */
	readonly checkMs: number;
}

interface Waiter {
	readonly wake: () => void;
	/** When it was last known to wait: a request that hung up does no more. */
	seenAt: number;
	permit: Permit | null;
}

interface Permit {
	readonly since: number;
	until: number;
}

/** To be called between parts of the work: resolves when it may go on. */
export type Pause = () => Promise<void>;

/** Work of which few may be done at once, in the order of its coming, by requests that may end at any time. */
export class Semaphore {
	readonly #bounds: SemaphoreBounds;
	readonly #clock: Clock;
	readonly #held = new Set<Permit>();
	readonly #waiting = new Set<Waiter>();

	constructor(bounds: SemaphoreBounds, clock: Clock) {
		this.#bounds = bounds;
		this.#clock = clock;
	}

	/** What the work answers; null when its turn did not come in time, and nothing of it was done. */
	async run<T>(work: (pause: Pause) => Promise<T>): Promise<T | null> {
		let permit = await this.#acquire();
		if (!permit) return null;
		try {
			return await work(async () => {
				if (permit && this.#mayGoOn(permit)) return;
				this.#giveBack(permit);
				// What is begun is finished, if need be beside those that hold all permits.
				permit = await this.#acquire();
			});
		} finally {
			this.#giveBack(permit);
		}
	}

	#mayGoOn(permit: Permit): boolean {
		const now = this.#clock();
		if (this.#waiting.size > 0 && now - permit.since >= this.#bounds.holdMs) return false;
		permit.until = now + this.#bounds.holdMs;
		return true;
	}

	#giveBack(permit: Permit | null): void {
		if (permit) this.#held.delete(permit);
		this.#handOut();
	}

	async #acquire(): Promise<Permit | null> {
		const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
		const start = this.#clock();
		const waiter: Waiter = { wake, seenAt: start, permit: null };
		this.#waiting.add(waiter);
		this.#handOut();
		while (!waiter.permit && this.#clock() - start < this.#bounds.waitMs) {
			await Promise.race([woken, sleep(this.#bounds.checkMs)]);
			waiter.seenAt = this.#clock();
			this.#handOut();
		}
		this.#waiting.delete(waiter);
		return waiter.permit;
	}

	#handOut(): void {
		const now = this.#clock();
		for (const permit of this.#held) if (permit.until <= now) this.#held.delete(permit);
		for (const waiter of this.#waiting) {
			if (this.#held.size >= this.#bounds.permits) return;
			if (now - waiter.seenAt > this.#bounds.waitMs) this.#waiting.delete(waiter);
			if (now - waiter.seenAt > 2 * this.#bounds.checkMs) continue;
			waiter.permit = { since: now, until: now + this.#bounds.holdMs };
			this.#held.add(waiter.permit);
			this.#waiting.delete(waiter);
			waiter.wake();
		}
	}
}

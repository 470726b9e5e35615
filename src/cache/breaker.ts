import type { Clock } from "../lib/clock.ts";

export interface BreakerTimes {
	/** How long nothing is tried after a first failure; it doubles with each one that follows. */
	readonly pauseMs: number;
	readonly pauseMsMax: number;
}

/**
 * Keeps from asking what does not answer. After a failure nobody asks for a while; then one does, and
 * the others follow when that went well.
 */
export class Breaker {
	readonly #clock: Clock;
	readonly #times: BreakerTimes;
	#failures = 0;
	#openUntil = 0;
	#isTrial = false;

	constructor(clock: Clock, times: BreakerTimes) {
		this.#clock = clock;
		this.#times = times;
	}

	/** Whether to ask now. Where that is a trial, nobody else is let through until it is told of. */
	allows(): boolean {
		if (this.#failures === 0) return true;
		const now = this.#clock();
		if (now < this.#openUntil) return false;
		// Not for ever: a trial may be cut off with its request, and is never told of then.
		this.#openUntil = now + this.#pause();
		this.#isTrial = true;
		return true;
	}

	succeeded(): void {
		this.#failures = 0;
		this.#isTrial = false;
	}

	failed(): void {
		// Calls that were under way together fail together: they are one failure.
		if (this.#failures > 0 && !this.#isTrial) return;
		this.#isTrial = false;
		this.#failures++;
		this.#openUntil = this.#clock() + this.#pause();
	}

	#pause(): number {
		const { pauseMs, pauseMsMax } = this.#times;
		return Math.min(pauseMs * 2 ** Math.max(0, this.#failures - 1), pauseMsMax);
	}
}

import type { Clock } from "../lib/clock.ts";
import type { Background } from "../lib/within.ts";
import * as limits from "../limits.ts";

/**
 * Whether Postgres answers, as far as this isolate's readings told. While it does not, what was read before is used
 * past its time, and nobody waits for it: whether it answers again is asked behind the answers of requests.
 */
export class Origin {
	readonly #clock: Clock;
	readonly #ping: () => Promise<unknown>;
	#isAway = false;
	#failedAt = Number.NEGATIVE_INFINITY;
	#probeAt = Number.NEGATIVE_INFINITY;

	/** @param ping rejects where it does not answer */
	constructor(clock: Clock, ping: () => Promise<unknown>) {
		this.#clock = clock;
		this.#ping = ping;
	}

	/** As somebody found a moment ago: who was idle since then has to find it anew. */
	get isAway(): boolean {
		return this.#isAway && this.#clock() - this.#failedAt < limits.originBelievedMs;
	}

	/** It may come and go: what is held for one outage is held for the next one. */
	get wasAwayOfLate(): boolean {
		return this.#isAway || this.#clock() - this.#failedAt < limits.originTroubledMs;
	}

	failed(): void {
		this.#isAway = true;
		this.#failedAt = this.#clock();
	}

	/** Asks now and then while it is away; called with each request. */
	probe(background: Background): void {
		if (!this.#isAway || this.#clock() < this.#probeAt) return;
		this.#probeAt = this.#clock() + limits.originProbeMs;
		background(
			this.#ping().then(
				() => {
					this.#isAway = false;
				},
				() => this.failed(),
			),
		);
	}
}

import * as limits from "../limits.ts";

/**
 * How much a move brings to Postgres at once, and when one that failed is tried again. What is too slow for
 * many records takes few of them, so whatever failed, the next statement is half as large. In memory
 * alone: an object that was evicted begins at the most, and is at a sixteenth of it after four failures.
 */
export class MovePace {
	/** Records that are under way at once: more than a statement takes are two statements. */
	#atOnce = 2 * limits.auditMoveRecords;
	/** In a row, without a record that moved meanwhile. */
	#failures = 0;

	/** Of the next statement, and up to a block more. */
	get records(): number {
		return Math.min(this.#atOnce, limits.auditMoveRecords);
	}

	/** Whether the next one may begin before one is done. */
	get isPaired(): boolean {
		return this.#atOnce > limits.auditMoveRecords;
	}

	/** Until the next alarm, where so many records wait. */
	pauseMs(waiting: number): number {
		// Few are not worth a call of their own: under load that would be one for every block or two.
		if (this.#failures === 0) return waiting < this.records ? limits.auditMoveDelayMs : 0;
		const pause = limits.auditMoveRetryMs * 2 ** Math.min(this.#failures - 1, 10);
		return Math.min(pause, limits.auditMoveRetryMsMax);
	}

	/** After an alarm, not after each statement: on the edge of what Postgres can do most of them succeed. */
	succeeded(): void {
		this.#failures = 0;
		this.#atOnce = 2 * Math.min(this.#atOnce, limits.auditMoveRecords);
	}

	/** @param hasMoved whether Postgres took others before: then it is there, and is not waited for longer each time */
	failed(hasMoved: boolean): void {
		this.#failures = hasMoved ? 1 : this.#failures + 1;
		this.#atOnce = Math.max(1, Math.floor(this.records / 2));
	}
}

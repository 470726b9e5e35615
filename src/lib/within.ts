import type { Clock } from "./clock.ts";

export type Within = typeof within;

/** What a call answers, or what `late` answers or throws when it takes longer: never a wait without an end. */
export async function within<T>(call: Promise<T>, milliseconds: number, late: () => T): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | null = null;
	const over = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, milliseconds);
	});
	try {
		return await Promise.race([call, over.then(late)]);
	} finally {
		clearTimeout(timer);
	}
}

/**
 * The same for what one request waits for, one call after the other, with one timer for all of them: to set and to
 * clear a timer costs as much as hashing what is signed. It is never cleared, so that whoever waits for what
 * another request does has something of its own to wait beside.
 * @param ringMs how far ahead the timer is set; it is set again where a call is to have longer
 */
export function withinOneTimer(clock: Clock, ringMs: number): Within {
	let ringsAt: number | null = null;
	let waiting: { readonly dueAt: number; readonly end: () => void } | null = null;

	function ring() {
		ringsAt = null;
		if (!waiting) return;
		const left = waiting.dueAt - clock();
		if (left > 0) setTimer(left);
		else waiting.end();
	}

	function setTimer(milliseconds: number) {
		const ahead = Math.min(milliseconds, ringMs);
		ringsAt = clock() + ahead;
		setTimeout(ring, ahead);
	}

	return async (call, milliseconds, late) => {
		if (waiting) return within(call, milliseconds, late); // beside another one
		const { promise: over, resolve: end } = Promise.withResolvers<void>();
		waiting = { dueAt: clock() + milliseconds, end };
		if (ringsAt === null || ringsAt > waiting.dueAt) setTimer(milliseconds);
		try {
			return await Promise.race([call, over.then(late)]);
		} finally {
			waiting = null;
		}
	};
}

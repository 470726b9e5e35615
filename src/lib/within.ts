import type { Clock } from "./clock.ts";

export type Within = typeof within;

/** Runs what need not be waited for; it may be given up at any time. */
export type Background = (work: Promise<unknown>) => void;

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
 * What a call that leaves the isolate answers: it has an end, and one way to fail.
 * @throws Unavailable where it fails, or takes longer
 */
export async function answered<T>(
	call: Promise<T>,
	milliseconds: number,
	Unavailable: new (why: string) => Error,
): Promise<T> {
	const late = () => {
		throw new Unavailable(`no answer in ${milliseconds} ms`);
	};
	try {
		return await within(call, milliseconds, late);
	} catch (error) {
		if (error instanceof Unavailable) throw error;
		// Its message may hold what was asked, and this one is for the log.
		throw new Unavailable(error instanceof Error ? error.name : "unknown");
	}
}

/**
 * `within` for what one request waits for, one call after the other, with one timer for all of them: to set and to
 * clear a timer costs as much as hashing what is signed. It is never cleared, so that whoever waits for what
 * another request does has something of its own to wait beside. Timers tell how long a wait takes; the clock
 * only how much of one is over when a wait begins, and may be off by no more than that.
 * @param ringMs how far ahead the timer is set; it is set again where a call is to have longer
 */
export function withinOneTimer(clock: Clock, ringMs: number): Within {
	let timer: { readonly setAt: number; readonly ms: number } | null = null;
	/** What is waited for, and how long it still has when the timer rings. */
	let waiting: { leftMs: number; readonly end: () => void } | null = null;

	function setTimer(milliseconds: number): number {
		const own = { setAt: clock(), ms: Math.min(milliseconds, ringMs) };
		timer = own;
		setTimeout(() => {
			if (timer === own) ring();
		}, own.ms);
		return own.ms;
	}

	function ring() {
		timer = null;
		if (!waiting) return;
		if (waiting.leftMs > 0) waiting.leftMs -= setTimer(waiting.leftMs);
		else waiting.end();
	}

	/** How long until it rings, as far as the clock knows: where that was set back, rather too late than too early. */
	function untilRing(milliseconds: number): number {
		if (!timer) return setTimer(milliseconds);
		const over = clock() - timer.setAt;
		const left = over < 0 ? 0 : Math.max(0, timer.ms - over);
		return left > milliseconds ? setTimer(milliseconds) : left;
	}

	return async (call, milliseconds, late) => {
		if (waiting) return within(call, milliseconds, late); // beside another one
		const { promise: over, resolve: end } = Promise.withResolvers<void>();
		waiting = { leftMs: milliseconds - untilRing(milliseconds), end };
		try {
			return await Promise.race([call, over.then(late)]);
		} finally {
			waiting = null;
		}
	};
}

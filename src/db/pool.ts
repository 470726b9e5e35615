import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { emptyFigures, noteAcquired, type PoolCounts, type PoolFigures } from "./pool-figures.ts";

/** What a pool keeps of a connection; what is done over it is its borrower's affair. */
export interface PoolConnection {
	/** False from when either end has closed it, as far as is known here, or nobody knows its state any more. */
	readonly isOpen: boolean;
	/** Resolves when the other end answers. Rejects in bounded time. */
	check(): Promise<void>;
	/** May be called again. */
	close(): void;
}

/** Calls `work` once after that time, unless the answer is called before. */
export type After = (milliseconds: number, work: () => void) => () => void;

export interface PoolBounds {
	/** Connections that are kept, and those beside them that are there only under pressure. */
	readonly size: number;
	readonly overflow: number;
	/**
	 * When all are lent, somebody waits and nobody was lent one for longer than this, the pool goes over
	 * its size. Where they do come back, only more slowly, it is Postgres that has too much to do.
	 */
	readonly overflowAfterMs: number;
	/** Connections that are opened at the same time: that costs both ends more than most statements do. */
	readonly openingAtOnce: number;
	readonly waitersMax: number;
	readonly acquireTimeoutMs: number;
	/** A connection that was idle for longer is asked whether it is still there before it is lent. */
	readonly checkAfterMs: number;
	/** One that was idle for longer is closed. */
	readonly idleMs: number;
	/** One that was lent for longer is told of, with its borrower. */
	readonly leakMs: number;
	/** The pause after a first failure to connect; it doubles with each one that follows. */
	readonly retryMs: number;
	readonly retryMsMax: number;
}

export interface PoolOptions<C extends PoolConnection> {
	/** Rejects in bounded time. */
	readonly connect: () => Promise<C>;
	/** Whether to try again after `connect` rejected so. */
	readonly isPassing: (error: unknown) => boolean;
	readonly bounds: PoolBounds;
	readonly clock: Clock;
	readonly random: Random;
	readonly after: After;
	/** Told once of each connection that is out for too long. */
	readonly onLeak: (borrower: string, milliseconds: number) => void;
	/** Told that no connection is open any more, and what was done since the last time. */
	readonly onRest: (figures: PoolFigures) => void;
}

/** A connection that is somebody's until it is given back. */
export interface Loan<C> {
	readonly connection: C;
	/** For the next one, where it is still open. A second call does nothing. */
	giveBack(): void;
}

/** There was no connection to be had: nothing was sent. */
export class PoolUnavailable extends Error {
	override readonly name = "PoolUnavailable";
}

interface Waiter<C> {
	readonly borrower: string;
	readonly since: number;
	readonly lend: (loan: Loan<C>) => void;
	readonly refuse: (error: unknown) => void;
}

interface Lent {
	readonly borrower: string;
	readonly since: number;
	isTold: boolean;
}

interface Idle<C> {
	readonly connection: C;
	readonly since: number;
}

/**
 * Lends connections, in the order in which they were asked for. It knows nothing of Postgres, and does
 * nothing again that a borrower did: only connecting is repeated.
 *
 * One timer is set while there is something to wait for. When nobody has or wants a connection, those
 * that are idle are closed, and then none is: a Durable Object with an open one is never evicted.
 */
export class Pool<C extends PoolConnection> {
	readonly #options: PoolOptions<C>;
	readonly #waiting = new Set<Waiter<C>>();
	readonly #lent = new Set<Lent>();
	/** The last one used at the end, which is the next one lent: those that are not needed grow old. */
	#idle: Idle<C>[] = [];
	/** Connections that are being opened, and those that are asked whether they are still there. */
	#opening = 0;
	#checking = 0;
	/** In a row; while there are any, one connection is tried at a time. */
	#failures = 0;
	#pausedUntil = 0;
	#lastFailure: unknown;
	#lastLent = 0;
	#isClosed = false;
	#timer: { readonly at: number; readonly cancel: () => void } | null = null;
	#counts: PoolCounts = emptyFigures();

	constructor(options: PoolOptions<C>) {
		this.#options = options;
	}

	/** A connection for `borrower`, who gives it back. @throws PoolUnavailable when there is none in time */
	acquire(borrower: string): Promise<Loan<C>> {
		const { waitersMax } = this.#options.bounds;
		if (this.#isClosed) return Promise.reject(new PoolUnavailable("the pool is closed"));
		if (this.#waiting.size >= waitersMax) {
			this.#counts.refused++;
			return Promise.reject(new PoolUnavailable(`${waitersMax} wait for a connection already`));
		}
		const { promise, resolve: lend, reject: refuse } = Promise.withResolvers<Loan<C>>();
		this.#waiting.add({ borrower, since: this.#options.clock(), lend, refuse });
		this.#advance();
		return promise;
	}

	figures(): PoolFigures {
		const { size } = this.#options.bounds;
		return {
			...this.#counts,
			inUse: this.#lent.size,
			idle: this.#idle.length,
			waiting: this.#waiting.size,
			overflow: Math.max(0, this.#total - size),
		};
	}

	/** Refuses who waits, and closes connections: those that are lent when they are given back. */
	close(): void {
		this.#isClosed = true;
		for (const { refuse } of this.#waiting) refuse(new PoolUnavailable("the pool is closed"));
		this.#waiting.clear();
		for (const { connection } of this.#idle.splice(0)) this.#discard(connection);
		this.#advance();
	}

	get #total(): number {
		return this.#idle.length + this.#lent.size + this.#opening + this.#checking;
	}

	/** Everything that is due now, and the timer for what will be. Called after whatever changed. */
	#advance(): void {
		const now = this.#options.clock();
		this.#endWaits(now);
		this.#tellLeaks(now);
		this.#serve(now);
		this.#closeIdle(now);
		this.#grow(now);
		this.#setTimer(now);
	}

	#endWaits(now: number): void {
		const { acquireTimeoutMs } = this.#options.bounds;
		for (const waiter of this.#waiting) {
			if (now < waiter.since + acquireTimeoutMs) return;
			this.#waiting.delete(waiter);
			this.#counts.timeouts++;
			const cause = this.#failures > 0 ? { cause: this.#lastFailure } : undefined;
			const message = `no connection for ${waiter.borrower} in ${acquireTimeoutMs} ms`;
			waiter.refuse(new PoolUnavailable(message, cause));
		}
	}

	#tellLeaks(now: number): void {
		for (const lent of this.#lent) {
			if (lent.isTold || now < lent.since + this.#options.bounds.leakMs) continue;
			lent.isTold = true;
			this.#counts.leaks++;
			this.#options.onLeak(lent.borrower, now - lent.since);
		}
	}

	#serve(now: number): void {
		// Each that is being asked comes back for somebody who waits.
		while (this.#waiting.size > this.#checking) {
			const idle = this.#idle.pop();
			if (!idle) return;
			const { connection, since } = idle;
			if (!connection.isOpen) this.#discard(connection);
			else if (now - since < this.#options.bounds.checkAfterMs) this.#lend(connection, now);
			else void this.#check(connection);
		}
	}

	/** To whoever has waited longest; there is somebody. */
	#lend(connection: C, now: number): void {
		const [waiter] = this.#waiting;
		if (!waiter) throw new Error("nobody waits for the connection");
		this.#waiting.delete(waiter);
		noteAcquired(this.#counts, now - waiter.since);
		const lent: Lent = { borrower: waiter.borrower, since: now, isTold: false };
		this.#lent.add(lent);
		this.#lastLent = now;
		waiter.lend({
			connection,
			giveBack: () => {
				if (!this.#lent.delete(lent)) return;
				this.#keep(connection);
				this.#advance();
			},
		});
	}

	/** One that nobody has: for who waits, or for later. */
	#keep(connection: C): void {
		const now = this.#options.clock();
		const isOver = this.#total >= this.#options.bounds.size;
		if (this.#isClosed || !connection.isOpen) this.#discard(connection);
		else if (this.#waiting.size > 0) this.#lend(connection, now);
		else if (isOver) this.#discard(connection);
		else this.#idle.push({ connection, since: now });
	}

	#discard(connection: C): void {
		this.#counts.closed++;
		connection.close();
	}

	async #check(connection: C): Promise<void> {
		this.#checking++;
		const isWell = await connection.check().then(
			() => true,
			() => false,
		);
		this.#checking--;
		if (isWell) this.#keep(connection);
		else this.#discard(connection);
		this.#advance();
	}

	/** As many more as there are who wait, within the bounds. */
	#grow(now: number): void {
		const { size, overflow, openingAtOnce } = this.#options.bounds;
		const [first] = this.#waiting;
		if (!first) return;
		const lacking = this.#waiting.size - this.#checking - this.#opening;
		const isStuck = this.#lent.size >= size && now >= this.#overflowAt(first);
		const room = isStuck ? size + overflow : size;
		const isPaused = this.#failures > 0 && now < this.#pausedUntil;
		const atOnce = isPaused ? 0 : this.#failures > 0 ? 1 : openingAtOnce;
		const count = Math.min(lacking, room - this.#total, atOnce - this.#opening);
		for (let opened = 0; opened < count; opened++) void this.#open();
	}

	#overflowAt({ since }: Waiter<C>): number {
		return Math.max(since, this.#lastLent) + this.#options.bounds.overflowAfterMs;
	}

	async #open(): Promise<void> {
		this.#opening++;
		try {
			const connection = await this.#options.connect();
			this.#opening--;
			this.#failures = 0;
			this.#counts.opened++;
			this.#keep(connection);
		} catch (error) {
			this.#opening--;
			this.#failed(error);
		}
		this.#advance();
	}

	#failed(error: unknown): void {
		const { isPassing, bounds, clock, random } = this.#options;
		this.#counts.connectFailures++;
		if (!isPassing(error)) {
			for (const { refuse } of this.#waiting) refuse(error);
			this.#waiting.clear();
			return;
		}
		this.#lastFailure = error;
		const now = clock();
		// Those that were tried at once fail at once: that is one failure.
		if (now < this.#pausedUntil) return;
		const pause = Math.min(bounds.retryMs * 2 ** this.#failures, bounds.retryMsMax);
		const [draw = 0] = random(1);
		this.#failures++;
		this.#pausedUntil = now + pause * (0.5 + draw / 512);
	}

	#closeIdle(now: number): void {
		const kept: Idle<C>[] = [];
		for (const idle of this.#idle) {
			const isOld = now >= idle.since + this.#options.bounds.idleMs;
			if (isOld || !idle.connection.isOpen) this.#discard(idle.connection);
			else kept.push(idle);
		}
		this.#idle = kept;
		if (this.#total === 0 && this.#waiting.size === 0 && this.#counts.opened > 0) this.#rest();
	}

	#rest(): void {
		this.#options.onRest(this.figures());
		this.#counts = emptyFigures();
	}

	/** For the next thing that is due; one that is set for earlier stays. */
	#setTimer(now: number): void {
		const at = this.#nextDue(now);
		if (this.#timer && (at === Number.POSITIVE_INFINITY || at < this.#timer.at)) {
			this.#timer.cancel();
			this.#timer = null;
		}
		if (this.#timer || at === Number.POSITIVE_INFINITY) return;
		const ring = () => {
			this.#timer = null;
			this.#advance();
		};
		this.#timer = { at, cancel: this.#options.after(Math.max(1, at - now), ring) };
	}

	#nextDue(now: number): number {
		const { acquireTimeoutMs, idleMs, leakMs } = this.#options.bounds;
		const due: number[] = [];
		const [first] = this.#waiting;
		if (first) {
			due.push(first.since + acquireTimeoutMs);
			const soon = [this.#pausedUntil, this.#overflowAt(first)];
			due.push(...soon.filter((time) => time > now));
		}
		for (const { since, isTold } of this.#lent) if (!isTold) due.push(since + leakMs);
		for (const { since } of this.#idle) due.push(since + idleMs);
		return Math.min(...due); // Infinity for nothing
	}
}

import { type Connection, openConnection } from "../../bench/connection.ts";
import { limits } from "../limits.ts";
import type { Session } from "./messages.ts";
import type { Arrival } from "./sources.ts";

/** A connection and what is asked on it now. */
export interface Slot {
	readonly connection: Connection;
	arrival: Arrival | null;
	/** Since when nothing is asked on it. */
	freeSince: number;
	alive: boolean;
}

/** How a request ended: its status, or what went wrong. */
export type Outcome = number | string;

interface Answer {
	readonly status: number;
	readonly code: string | null;
	/** The server closes the connection after it. */
	readonly isLast: boolean;
}

export interface PoolOptions {
	readonly session: Pick<
		Session,
		"host" | "port" | "tls" | "connections" | "waitingMax" | "timeoutMs"
	>;
	/** The bytes to send for an arrival. */
	readonly requestOf: (arrival: Arrival) => Uint8Array;
	/** Once for each arrival that was taken, with the moment by the process's clock, and the code of a refusal. */
	readonly onEnd: (arrival: Arrival, outcome: Outcome, now: number, code: string | null) => void;
}

/**
 * Connections that are opened as they are needed, up to a bound. What finds none waits, and its time
 * goes on; a user of a closed load has one of its own. Nothing is sent before the answer to what was
 * sent before: pipelined requests would wait for each other.
 */
export class Pool {
	/** Those that nobody holds; the last one that became free is taken first, so that the others can be closed. */
	readonly #free: Slot[] = [];
	readonly #all = new Set<Slot>();
	readonly #options: PoolOptions;
	#waiting: Arrival[] = [];
	/** Where in `#waiting` the first one stands. */
	#first = 0;
	#opening = 0;
	#inFlight = 0;
	#ofUsers = 0;

	constructor(options: PoolOptions) {
		this.#options = options;
	}

	get connections(): number {
		return this.#all.size;
	}

	get inFlight(): number {
		return this.#inFlight;
	}

	get waiting(): number {
		return this.#waiting.length - this.#first;
	}

	/** So many users hold a connection of their own from now on. */
	expectUsers(users: number): void {
		this.#ofUsers = users;
	}

	/** Sends the request now, or as soon as a connection is there; false when too many wait already. */
	offer(arrival: Arrival): boolean {
		const own = arrival.user?.slot;
		const slot = own?.alive ? own : this.#takeFree();
		if (slot) this.#send(slot, arrival);
		else if (this.waiting >= this.#options.session.waitingMax) return false;
		else {
			this.#waiting.push(arrival);
			this.#openMore();
		}
		return true;
	}

	/** Gives up what has waited for too long, and closes what nobody needs. */
	sweep(now: number): void {
		const overdue = now - this.#options.session.timeoutMs;
		for (;;) {
			const head = this.#waiting[this.#first];
			if (!head || head.scheduled > overdue) break;
			this.#first++;
			this.#end(head, "timeout", now);
		}
		this.#compact();
		for (const slot of this.#all) {
			if (slot.arrival && slot.arrival.scheduled <= overdue) this.#lose(slot, "timeout", now);
		}
		for (const idle = now - limits.idleConnectionMs; ; ) {
			const oldest = this.#free[0];
			if (!oldest || oldest.freeSince > idle) break;
			this.#free.shift();
			this.#discard(oldest);
		}
	}

	/** Gives back a user's connection. */
	release(slot: Slot, now: number): void {
		if (!slot.alive) return;
		slot.freeSince = now;
		const next = this.#nextWaiting();
		if (next) this.#send(slot, next);
		else this.#free.push(slot);
	}

	close(): void {
		for (const slot of this.#all) this.#discard(slot);
	}

	#takeFree(): Slot | undefined {
		for (let slot = this.#free.pop(); slot; slot = this.#free.pop()) if (slot.alive) return slot;
		return undefined;
	}

	#nextWaiting(): Arrival | undefined {
		const next = this.#waiting[this.#first];
		if (next) this.#first++;
		return next;
	}

	#compact(): void {
		if (this.#first < 1024 && this.#first < this.#waiting.length) return;
		this.#waiting = this.#waiting.slice(this.#first);
		this.#first = 0;
	}

	#openMore(): void {
		const most = Math.min(limits.connectionsMax, this.#options.session.connections + this.#ofUsers);
		if (this.#opening >= this.waiting || this.#all.size + this.#opening >= most) return;
		this.#opening++;
		void this.#open();
	}

	async #open(): Promise<void> {
		const { host, port, tls } = this.#options.session;
		try {
			const connection = await openConnection({
				...{ host, port, tls },
				onAnswer: (_, status, code, isLast) => this.#answered(slot, { status, code, isLast }),
				onFailure: (kind) => this.#lose(slot, kind, performance.now()),
			});
			const slot: Slot = { connection, arrival: null, freeSince: performance.now(), alive: true };
			this.#opening--;
			this.#all.add(slot);
			this.release(slot, slot.freeSince);
		} catch (error) {
			this.#opening--;
			const kind = error instanceof Error ? String(error.cause) : "no connection";
			const failed = this.#nextWaiting();
			if (failed) this.#end(failed, kind, performance.now());
			if (this.waiting > 0) this.#openMore();
		}
	}

	#send(slot: Slot, arrival: Arrival): void {
		slot.arrival = arrival;
		if (arrival.user) arrival.user.slot = slot;
		this.#inFlight++;
		slot.connection.send(this.#options.requestOf(arrival));
	}

	#answered(slot: Slot, { status, code, isLast }: Answer): void {
		const { arrival } = slot;
		const now = performance.now();
		if (!arrival) {
			this.#lose(slot, "an answer that nobody asked for", now);
			return;
		}
		slot.arrival = null;
		slot.freeSince = now;
		this.#inFlight--;
		if (isLast) this.#discard(slot);
		else if (!arrival.user) this.release(slot, now);
		this.#end(arrival, status, now, code);
		if (isLast && this.waiting > 0) this.#openMore();
	}

	/** The connection is of no use any more. One that nothing was asked on is simply gone. */
	#lose(slot: Slot, kind: string, now: number): void {
		const { arrival } = slot;
		this.#discard(slot);
		if (!arrival) return;
		slot.arrival = null;
		this.#inFlight--;
		if (arrival.user) arrival.user.slot = null;
		this.#end(arrival, kind, now);
		if (this.waiting > 0) this.#openMore();
	}

	#discard(slot: Slot): void {
		slot.alive = false;
		slot.connection.close();
		this.#all.delete(slot);
	}

	#end(arrival: Arrival, outcome: Outcome, now: number, code: string | null = null): void {
		this.#options.onEnd(arrival, outcome, now, code);
	}
}

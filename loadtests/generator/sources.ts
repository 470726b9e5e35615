import type { ClosedLoad, Mix, OpenLoad } from "./messages.ts";
import type { Slot } from "./pool.ts";

/** A request that is due: what it counts from is when it was scheduled, not when it went out. */
export interface Arrival {
	readonly kind: number;
	/** Milliseconds of the process's clock. */
	readonly scheduled: number;
	/** Whose it is, in a closed load. */
	readonly user: User | null;
}

export interface User {
	/** The connection that is kept from request to request. */
	slot: Slot | null;
	due: number;
	readonly source: ClosedSource;
}

/** What decides when requests are due. */
export interface Source {
	/** When the next one is; Infinity when none is left, or none is before an answer comes. */
	nextDue(): number;
	next(): Arrival;
	/** Nothing is due any more. */
	end(): void;
}

/** Numbers in [0, 1) that a seed decides (xorshift, Marsaglia 2003). */
export function createDraw(seed: number): () => number {
	let state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) / 2 ** 32;
	};
}

/** Draws kinds by their weights. */
export function createPicker(mix: Mix, draw: () => number): () => number {
	const total = mix.reduce((sum, [, weight]) => sum + weight, 0);
	return () => {
		let left = draw() * total;
		for (const [kind, weight] of mix) {
			left -= weight;
			if (left < 0) return kind;
		}
		return mix.at(-1)?.[0] ?? 0;
	};
}

/**
 * When the arrival `n` (from 0) of a load is due, in milliseconds from its beginning; Infinity for
 * one that is not before the end. The rate goes in a straight line, so the number of arrivals until
 * `t` is a quadratic, and this is its inverse.
 */
export function timeOfArrival(n: number, from: number, to: number, seconds: number): number {
	const bend = (to - from) / (2 * seconds);
	const t =
		Math.abs(bend) < 1e-9 ? n / from : (Math.sqrt(from * from + 4 * bend * n) - from) / (2 * bend);
	return t < seconds ? t * 1000 : Number.POSITIVE_INFINITY; // NaN is beyond the end too
}

/** Arrivals on a schedule. `start` is of the process's clock. */
export function openSource(
	{ rateFrom, rateTo, mix }: OpenLoad,
	start: number,
	seconds: number,
	draw: () => number,
): Source {
	const pick = createPicker(mix, draw);
	const timeOf = (n: number) => start + timeOfArrival(n, rateFrom, rateTo, seconds);
	let number = 0;
	let due = timeOf(0);
	return {
		nextDue: () => due,
		next() {
			const arrival = { kind: pick(), scheduled: due, user: null };
			due = timeOf(++number);
			return arrival;
		},
		end() {
			due = Number.POSITIVE_INFINITY;
		},
	};
}

/** Users with pauses: the one who is due first stands at the top of a heap. */
export class ClosedSource implements Source {
	readonly users: User[];
	readonly #heap: User[] = [];
	readonly #pick: () => number;
	readonly #end: number;
	readonly #pause: () => number;
	#over = false;

	constructor(load: ClosedLoad, start: number, seconds: number, draw: () => number) {
		const { users, thinkMs, rampMs, mix } = load;
		this.#pick = createPicker(mix, draw);
		this.#end = start + seconds * 1000;
		this.#pause = () => thinkMs * (0.5 + draw());
		this.users = Array.from({ length: users }, (_, index): User => {
			const first = (rampMs * index) / users + thinkMs * draw();
			return { slot: null, due: start + first, source: this };
		});
		for (const user of this.users) this.#push(user);
	}

	nextDue(): number {
		return this.#heap[0]?.due ?? Number.POSITIVE_INFINITY;
	}

	next(): Arrival {
		const user = this.#pop();
		if (!user) throw new RangeError("nobody is due");
		return { kind: this.#pick(), scheduled: user.due, user };
	}

	/** The user's answer is there, or will not come; whether the user goes on. */
	answered(user: User, now: number): boolean {
		user.due = now + this.#pause();
		if (!this.#over) this.#push(user);
		return !this.#over;
	}

	end(): void {
		this.#over = true;
		this.#heap.length = 0;
	}

	/** Who is due after the end does not come. */
	#push(user: User): void {
		if (user.due >= this.#end) return;
		const heap = this.#heap;
		let at = heap.push(user) - 1;
		while (at > 0) {
			const above = (at - 1) >> 1;
			const other = heap[above];
			if (!other || other.due <= user.due) break;
			heap[at] = other;
			at = above;
		}
		heap[at] = user;
	}

	#pop(): User | undefined {
		const heap = this.#heap;
		const top = heap[0];
		const last = heap.pop();
		if (!last || heap.length === 0) return top;
		let at = 0;
		for (;;) {
			let below = 2 * at + 1;
			const [left, right] = [heap[below], heap[below + 1]];
			if (!left) break;
			if (right && right.due < left.due) below++;
			const other = heap[below];
			if (!other || last.due <= other.due) break;
			heap[at] = other;
			at = below;
		}
		heap[at] = last;
		return top;
	}
}

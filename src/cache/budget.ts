import * as limits from "../limits.ts";

/** Whatever keeps memory for longer than a turn. */
export interface Holder {
	/** Unique; it is shown to admins. */
	readonly name: string;
	/** What it may hold by its own bounds, and is expected to. */
	readonly shareBytes: number;
	/** What it accounts for now; asked often. */
	bytes(): number;
	/** Gives back at least so many bytes, if it has them; left out where nothing can be given back. */
	release?(bytes: number): void;
}

/** How short memory is: from each on, what the next line of limits.ts says is done too. */
export type Pressure = "none" | "evicting" | "full" | "shedding";

/**
 * The isolate's memory by what its holders account for, because no program in an isolate can ask how large
 * its heap is. When much of it is held the caches give back; then they take nothing more; then requests are
 * refused until it is better.
 */
export class MemoryBudget {
	readonly bytes: number;
	readonly #holders = new Map<string, Holder>();
	readonly #onShedding: (isShedding: boolean) => void;
	#isShedding = false;

	/** @param onShedding told when requests are to be refused, and when no more */
	constructor(onShedding: (isShedding: boolean) => void, bytes: number = limits.isolateBytes) {
		this.#onShedding = onShedding;
		this.bytes = bytes;
	}

	register(holder: Holder): void {
		if (this.#holders.has(holder.name)) throw new Error(`${holder.name} holds memory twice`);
		this.#holders.set(holder.name, holder);
	}

	get holders(): readonly Holder[] {
		return [...this.#holders.values()];
	}

	get held(): number {
		let sum = 0;
		for (const holder of this.#holders.values()) sum += holder.bytes();
		return sum;
	}

	/** Looks how much is held, and does what has to be done about it. Called before anything more is kept. */
	check(): Pressure {
		let held = this.held;
		const evictFrom = limits.memoryEvictPart * this.bytes;
		if (held >= evictFrom) {
			this.#release(held - evictFrom);
			held = this.held;
		}
		this.#decideShedding(held);
		return this.#pressureAt(held);
	}

	get pressure(): Pressure {
		return this.#pressureAt(this.held);
	}

	/** Whether a cache may keep something new. */
	readonly mayFill = (): boolean => {
		const pressure = this.check();
		return pressure === "none" || pressure === "evicting";
	};

	/** An account of what comes and goes with requests. */
	account(name: string, shareBytes: number): Account {
		let held = 0;
		this.register({ name, shareBytes, bytes: () => held });
		return {
			take: (bytes) => {
				held += bytes;
				this.check();
				if (this.held <= this.bytes) return true;
				held -= bytes;
				this.check();
				return false;
			},
			giveBack: (bytes) => {
				held -= bytes;
				if (this.#isShedding) this.check();
			},
		};
	}

	#pressureAt(held: number): Pressure {
		const part = held / this.bytes;
		if (this.#isShedding || part >= limits.memoryShedPart) return "shedding";
		if (part >= limits.memoryStopPart) return "full";
		return part >= limits.memoryEvictPart ? "evicting" : "none";
	}

	/** It ends where caches may fill again, so that it does not come and go with each request. */
	#decideShedding(held: number): void {
		const from = this.#isShedding ? limits.memoryStopPart : limits.memoryShedPart;
		const isShedding = held >= from * this.bytes;
		if (isShedding === this.#isShedding) return;
		this.#isShedding = isShedding;
		this.#onShedding(isShedding);
	}

	/** Each gives back in proportion to what it has. */
	#release(bytes: number): void {
		const able = this.holders.filter(({ release }) => release);
		const had = able.map((holder) => holder.bytes());
		const sum = had.reduce((all, one) => all + one, 0);
		for (const [index, holder] of able.entries()) {
			const own = had[index] ?? 0;
			if (own > 0) holder.release?.(Math.ceil(Math.min(own, (bytes * own) / sum)));
		}
	}
}

export interface Account {
	/** false when there is no room in the whole isolate; then nothing was taken. */
	take(bytes: number): boolean;
	giveBack(bytes: number): void;
}

import * as limits from "../limits.ts";

/**
 * Which names are used most, as far as isolates told: counts that fade, so that what was used much long
 * ago makes room. Bounded: where there is no room the least used goes.
 */
export class HotNames {
	readonly #counts = new Map<string, number>();
	#fadedAt: number;

	constructor(now: number) {
		this.#fadedAt = now;
	}

	add(uses: readonly (readonly [name: string, count: number])[], now: number): void {
		this.#fade(now);
		for (const [name, count] of uses) {
			this.use(name);
			this.#counts.set(name, (this.#counts.get(name) ?? 0) + count - 1);
		}
	}

	/** One use, where time does not count. */
	use(name: string): void {
		const count = this.#counts.get(name);
		if (count === undefined && this.#counts.size >= limits.hotNamesHeld) this.#dropLeast();
		this.#counts.set(name, (count ?? 0) + 1);
	}

	/** The most used first. */
	top(atMost: number): string[] {
		const byCount = [...this.#counts].sort(([, a], [, b]) => b - a);
		return byCount.slice(0, atMost).map(([name]) => name);
	}

	/** Takes all that was counted: it is told to someone else. */
	take(atMost: number): [string, number][] {
		const names = this.top(atMost);
		const taken = names.map((name): [string, number] => [name, this.#counts.get(name) ?? 0]);
		this.#counts.clear();
		return taken;
	}

	#fade(now: number): void {
		const halvings = Math.floor((now - this.#fadedAt) / limits.hotHalfLifeMs);
		if (halvings < 1) return;
		this.#fadedAt += halvings * limits.hotHalfLifeMs;
		for (const [name, count] of this.#counts) {
			const left = count * 0.5 ** halvings;
			if (left < 1) this.#counts.delete(name);
			else this.#counts.set(name, left);
		}
	}

	#dropLeast(): void {
		let least: string | null = null;
		let lowest = Number.POSITIVE_INFINITY;
		for (const [name, count] of this.#counts) {
			if (count < lowest) [least, lowest] = [name, count];
		}
		if (least !== null) this.#counts.delete(least);
	}
}

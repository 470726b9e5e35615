import type { SharedStore } from "../cache/shared.ts";
import type { Database } from "../db/client.ts";
import type { KeyWithVersions } from "../db/keys.ts";
import {
	type Found,
	type LoadAnswer,
	readTogether,
	type Wanted,
	type Warmed,
} from "../db/together.ts";
import type { Clock } from "../lib/clock.ts";
import { limits } from "../limits.ts";
import { HotNames } from "./hot.ts";

export interface LoadAsk {
	/** Of the asker's lease. */
	readonly epoch: number;
	readonly wanted: readonly Wanted[];
	/** How often the asker used which keys since it last told. */
	readonly used: readonly (readonly [name: string, count: number])[];
	/** It has nothing of the tenant yet: what is used most comes along. */
	readonly isFirst: boolean;
}

export interface LoadReply {
	/** In the order of what was wanted. */
	readonly answers: readonly LoadAnswer[];
	readonly warmed: readonly Warmed[];
}

export interface LoaderOptions {
	readonly db: Database;
	readonly shared: SharedStore;
	readonly clock: Clock;
	/** Runs what nobody waits for. */
	readonly background: (work: Promise<unknown>) => void;
}

/** A row that is being read, or was read a moment ago. */
interface Reading {
	readonly answer: Promise<LoadAnswer>;
	/** Infinity until it is there. */
	endsAt: number;
}

/**
 * Reads rows for all isolates of a tenant: however many ask for one at about the same time, it is read
 * once. It lives in an object, where calls may wait for each other's promises; isolates' requests may not.
 */
export class Loader {
	readonly #options: LoaderOptions;
	/** By epoch, kind and name; the oldest first. */
	readonly #readings = new Map<string, Reading>();
	readonly #hot: HotNames;

	constructor(options: LoaderOptions) {
		this.#options = options;
		this.#hot = new HotNames(options.clock());
	}

	async load(tenant: string, ask: LoadAsk): Promise<LoadReply> {
		const { epoch, wanted, used, isFirst } = ask;
		this.#hot.add(used, this.#options.clock());
		const asked = new Set(wanted.map(({ name }) => name));
		const hot = isFirst ? this.#hot.top(limits.warmKeys).filter((name) => !asked.has(name)) : [];
		const all = [...wanted, ...hot.map((name) => ({ kind: "key", name }) as const)];
		const answers = await this.#loadAll(tenant, epoch, all);
		const warmed = hot.flatMap((name, index): Warmed[] => {
			const answer = answers[wanted.length + index];
			return typeof answer === "object" ? [{ name, row: answer.row as KeyWithVersions }] : [];
		});
		return { answers: answers.slice(0, wanted.length), warmed };
	}

	/** Those with a lease of another epoch share no reading: it may have begun before the change that moved it. */
	async #loadAll(tenant: string, epoch: number, wanted: readonly Wanted[]): Promise<LoadAnswer[]> {
		this.#forget();
		const fresh = wanted.filter((entry) => !this.#readings.has(nameOf(epoch, entry)));
		if (this.#readings.size + fresh.length > limits.loadsHeld) throw new Error("too much is read");
		if (fresh.length > 0) {
			const answers = this.#read(tenant, epoch, fresh);
			for (const [at, entry] of fresh.entries()) {
				this.#hold(
					nameOf(epoch, entry),
					answers.then((list) => list[at] ?? "unavailable"),
				);
			}
		}
		const readings = wanted.map((entry) => this.#readings.get(nameOf(epoch, entry))?.answer);
		return Promise.all(readings.map(async (answer) => (await answer) ?? "unavailable"));
	}

	/** What is there is kept until the shared store has it; what is not there may be so in a moment. */
	#hold(name: string, answer: Promise<LoadAnswer>): void {
		const reading: Reading = { answer, endsAt: Number.POSITIVE_INFINITY };
		this.#readings.set(name, reading);
		void answer.then((found) => {
			if (typeof found === "object") reading.endsAt = this.#options.clock() + limits.loadsHeldMs;
			else this.#readings.delete(name);
		});
	}

	#forget(): void {
		const now = this.#options.clock();
		for (const [name, { endsAt }] of this.#readings) {
			if (endsAt > now) return;
			this.#readings.delete(name);
		}
	}

	async #read(tenant: string, epoch: number, wanted: readonly Wanted[]): Promise<LoadAnswer[]> {
		const { db, shared, background } = this.#options;
		let found: (Found | null)[];
		try {
			found = await readTogether(db, tenant, wanted);
		} catch {
			return wanted.map(() => "unavailable");
		}
		const values = wanted.flatMap((entry, index) => {
			const row = found[index];
			return row ? [{ ...entry, value: JSON.stringify(row) }] : [];
		});
		if (values.length > 0) background(shared.write(tenant, epoch, values));
		return found.map((row) => (row ? { row } : "missing"));
	}
}

function nameOf(epoch: number, { kind, name }: Wanted): string {
	return `${epoch} ${kind} ${name}`;
}

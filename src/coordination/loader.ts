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
import type { Background } from "../lib/within.ts";
import * as limits from "../limits.ts";
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
	readonly background: Background;
}

/** A row that was read a moment ago. */
interface Made {
	readonly answer: LoadAnswer;
	readonly endsAt: number;
}

/**
 * Reads rows for all isolates of a tenant: however many ask for one at about the same time, it is read
 * once. It lives in an object, where calls may wait for each other's promises; isolates' requests may not.
 */
export class Loader {
	readonly #options: LoaderOptions;
	/** What is being read, by epoch, kind and name. */
	readonly #under = new Map<string, Promise<LoadAnswer>>();
	/** What was read, by the same; the oldest first. */
	readonly #made = new Map<string, Made>();
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
		const alongside = hot.map((name) => ({ kind: "key", name }) as const);
		// What comes along must not be why what was asked for fails.
		const [answers, more] = await Promise.all([
			this.#loadAll(tenant, epoch, wanted),
			this.#loadAll(tenant, epoch, alongside).catch((): LoadAnswer[] => []),
		]);
		const warmed = hot.flatMap((name, index): Warmed[] => {
			const answer = more[index];
			return typeof answer === "object" ? [{ name, row: answer.row as KeyWithVersions }] : [];
		});
		return { answers, warmed };
	}

	/** Those with a lease of another epoch share no reading: it may have begun before the change that moved it. */
	async #loadAll(tenant: string, epoch: number, wanted: readonly Wanted[]): Promise<LoadAnswer[]> {
		this.#forget();
		const joined = wanted.filter((entry) => this.#under.has(nameOf(epoch, entry)));
		const answers = await this.#join(tenant, epoch, wanted);
		// What began before it was asked for here may have missed what was made in between.
		const again = joined.filter((entry) => answers[wanted.indexOf(entry)] === "missing");
		if (again.length === 0) return answers;
		const anew = await this.#join(tenant, epoch, again);
		return answers.map((answer, at) => {
			const index = again.indexOf(wanted[at] as Wanted);
			return index < 0 ? answer : (anew[index] ?? answer);
		});
	}

	/** Readings that are under way or just made, and new ones for the rest. */
	async #join(tenant: string, epoch: number, wanted: readonly Wanted[]): Promise<LoadAnswer[]> {
		const known = (name: string) => this.#made.get(name)?.answer ?? this.#under.get(name);
		const fresh = wanted.filter((entry) => known(nameOf(epoch, entry)) === undefined);
		if (this.#under.size + fresh.length > limits.loadsHeld) throw new Error("too much is read");
		if (fresh.length > 0) {
			const answers = this.#read(tenant, epoch, fresh);
			for (const [at, entry] of fresh.entries()) {
				this.#hold(
					nameOf(epoch, entry),
					answers.then((list) => list[at] ?? "unavailable"),
				);
			}
		}
		const answers = wanted.map((entry) => known(nameOf(epoch, entry)));
		return Promise.all(answers.map(async (answer) => (await answer) ?? "unavailable"));
	}

	/** What is there is kept until the shared store has it; what is not there may be so in a moment. */
	#hold(name: string, reading: Promise<LoadAnswer>): void {
		this.#under.set(name, reading);
		void reading.then((answer) => {
			this.#under.delete(name);
			if (typeof answer !== "object" || this.#made.size >= limits.loadsHeld) return;
			this.#made.delete(name);
			this.#made.set(name, { answer, endsAt: this.#options.clock() + limits.loadsHeldMs });
		});
	}

	#forget(): void {
		const now = this.#options.clock();
		for (const [name, { endsAt }] of this.#made) {
			if (endsAt > now) return;
			this.#made.delete(name);
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
		const missing = wanted.filter((_, index) => !found[index]);
		if (missing.length > 0) background(shared.drop(tenant, missing));
		return found.map((row) => (row ? { row } : "missing"));
	}
}

function nameOf(epoch: number, { kind, name }: Wanted): string {
	return `${epoch} ${kind} ${name}`;
}

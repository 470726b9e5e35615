import type { SharedStore } from "../cache/shared.ts";
import type { Database } from "../db/client.ts";
import { type Found, type LoadAnswer, readTogether, type Wanted } from "../db/together.ts";
import { limits } from "../limits.ts";

export interface LoaderOptions {
	readonly db: Database;
	readonly shared: SharedStore;
	/** Runs what nobody waits for. */
	readonly background: (work: Promise<unknown>) => void;
}

/**
 * Reads rows for all isolates of a tenant: however many ask for one at the same time, it is read once.
 * It lives in an object, where calls may wait for each other's promises; isolates' requests may not.
 */
export class Loader {
	readonly #options: LoaderOptions;
	/** What is being read, by epoch, kind and name. */
	readonly #under = new Map<string, Promise<LoadAnswer>>();

	constructor(options: LoaderOptions) {
		this.#options = options;
	}

	/**
	 * `epoch` is that of the asker's lease. Those with another one do not share a reading: it may have
	 * begun before the change that moved the epoch.
	 */
	async load(tenant: string, epoch: number, wanted: readonly Wanted[]): Promise<LoadAnswer[]> {
		const names = wanted.map(({ kind, name }) => `${epoch} ${kind} ${name}`);
		const fresh = wanted.filter((_, index) => !this.#under.has(names[index] ?? ""));
		if (this.#under.size > limits.loadsUnderWay) throw new Error("too much is being read");
		if (fresh.length > 0) {
			const reading = this.#read(tenant, epoch, fresh);
			for (const [at, { kind, name }] of fresh.entries()) {
				const full = `${epoch} ${kind} ${name}`;
				const answer = reading.then((answers) => answers[at] ?? "unavailable");
				this.#under.set(full, answer);
				void answer.finally(() => this.#under.delete(full));
			}
		}
		return Promise.all(names.map((name) => this.#under.get(name) ?? "unavailable"));
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

import type { SharedStore } from "../cache/shared.ts";
import { type Database, DatabaseUnavailable } from "../db/client.ts";
import { type Found, type LoadAnswer, readTogether, type Wanted } from "../db/together.ts";

export interface ReadServices {
	readonly db: Database;
	readonly shared: SharedStore;
	/** The epoch of the tenant's living lease; null where there is none. */
	readonly epochNow: (tenant: string) => number | null;
	/** Asks the object that reads for all isolates. Rejects when it does not answer in time. */
	readonly load: (
		tenant: string,
		epoch: number,
		wanted: readonly Wanted[],
	) => Promise<readonly LoadAnswer[]>;
}

/** Rows of a tenant, for an isolate that does not remember them. In their order; null for what is not there. */
export type Reads = (tenant: string, wanted: readonly Wanted[]) => Promise<(Found | null)[]>;

/**
 * What was read under the tenant's epoch is asked for first: of Redis, then of the tenant's object,
 * which reads it once for all. Where there is no lease, or the object does not answer, Postgres is
 * asked from here.
 */
export function createReads({ db, shared, epochNow, load }: ReadServices): Reads {
	async function loaded(tenant: string, epoch: number, wanted: readonly Wanted[]) {
		const answers = await load(tenant, epoch, wanted).catch(() => null);
		if (!answers) return readTogether(db, tenant, wanted);
		if (answers.includes("unavailable")) throw new DatabaseUnavailable("reads.load");
		return answers.map((answer) => (typeof answer === "object" ? answer.row : null));
	}

	return async (tenant, wanted) => {
		const epoch = epochNow(tenant);
		if (epoch === null) return readTogether(db, tenant, wanted);
		const found = (await shared.read(tenant, epoch, wanted)).map((value) =>
			value === null ? null : (JSON.parse(value) as Found),
		);
		const missing = wanted.filter((_, index) => !found[index]);
		if (missing.length === 0) return found;
		const rest = await loaded(tenant, epoch, missing);
		return found.map((row) => row ?? rest.shift() ?? null);
	};
}

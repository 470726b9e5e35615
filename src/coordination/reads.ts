import type { SharedStore } from "../cache/shared.ts";
import { type Database, DatabaseUnavailable } from "../db/client.ts";
import { type Found, readTogether, type Wanted, type Warmed } from "../db/together.ts";
import type { Clock } from "../lib/clock.ts";
import { limits } from "../limits.ts";
import { HotNames } from "./hot.ts";
import type { LoadAsk, LoadReply } from "./loader.ts";

export interface ReadServices {
	readonly db: Database;
	readonly shared: SharedStore;
	readonly clock: Clock;
	/** The epoch of the tenant's living lease; null where there is none. */
	readonly epochNow: (tenant: string) => number | null;
	/** Asks the object that reads for all isolates. Rejects when it does not answer in time. */
	readonly load: (tenant: string, ask: LoadAsk) => Promise<LoadReply>;
	/** Taken before a reading begins: given what comes along, remembers it as of then. */
	readonly rememberer: (tenant: string) => (warmed: readonly Warmed[]) => void;
}

/** Rows of a tenant, for an isolate that does not remember them. */
export interface Reads {
	/** In their order; null for what is not there. */
	read(tenant: string, wanted: readonly Wanted[]): Promise<(Found | null)[]>;
	/** A key was used, by this id or name: what is used most comes along when an isolate has nothing. */
	used(tenant: string, name: string): void;
}

/** What an isolate knows of a tenant's readings. */
interface Known {
	/** Under which something was read already. */
	epoch: number;
	readonly uses: HotNames;
}

/**
 * What was read under the tenant's epoch is asked for first: of Redis, then of the tenant's object,
 * which reads it once for all. Both at once where this isolate has nothing under the epoch yet: the
 * object then tells what else will be asked for. Where there is no lease, or the object does not answer,
 * Postgres is asked from here.
 */
export function createReads(services: ReadServices): Reads {
	const { db, shared, clock, epochNow, load, rememberer } = services;
	const known = new Map<string, Known>();

	function knownOf(tenant: string): Known {
		const found = known.get(tenant) ?? { epoch: 0, uses: new HotNames(clock()) };
		if (!known.has(tenant) && known.size >= limits.hotTenantsHeld) {
			const [oldest] = known.keys();
			if (oldest !== undefined) known.delete(oldest);
		}
		known.set(tenant, found);
		return found;
	}

	/** null where the object does not answer. */
	async function ask(tenant: string, epoch: number, wanted: readonly Wanted[], isFirst: boolean) {
		const used = knownOf(tenant).uses.take(limits.hotNamesTold);
		const remember = rememberer(tenant);
		const reply = await load(tenant, { epoch, wanted, used, isFirst }).catch(() => null);
		if (reply) remember(reply.warmed);
		return reply?.answers ?? null;
	}

	async function sharedRows(tenant: string, epoch: number, wanted: readonly Wanted[]) {
		const values = await shared.read(tenant, epoch, wanted);
		return values.map((value) => (value === null ? null : (JSON.parse(value) as Found)));
	}

	return {
		async read(tenant, wanted) {
			const epoch = epochNow(tenant);
			if (epoch === null) return readTogether(db, tenant, wanted);
			const tenantKnown = knownOf(tenant);
			const isFirst = tenantKnown.epoch !== epoch;
			tenantKnown.epoch = epoch;
			const first = isFirst ? ask(tenant, epoch, wanted, true) : null;
			const found = await sharedRows(tenant, epoch, wanted);
			const answered = await first;
			const missing = wanted.filter((_, index) => !found[index]);
			if (missing.length === 0) return found;
			const answers = isFirst
				? answered?.filter((_, index) => !found[index])
				: await ask(tenant, epoch, missing, false);
			if (!answers) {
				const rest = await readTogether(db, tenant, missing);
				return found.map((row) => row ?? rest.shift() ?? null);
			}
			if (answers.includes("unavailable")) throw new DatabaseUnavailable("reads.load");
			const rest = answers.map((answer) => (typeof answer === "object" ? answer.row : null));
			return found.map((row) => row ?? rest.shift() ?? null);
		},
		used(tenant, name) {
			known.get(tenant)?.uses.use(name);
		},
	};
}

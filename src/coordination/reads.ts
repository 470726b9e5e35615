import type { Origin } from "../cache/origin.ts";
import type { SharedStore } from "../cache/shared.ts";
import { type Database, DatabaseUnavailable } from "../db/client.ts";
import { type Found, readTogether, type Wanted, type Warmed } from "../db/together.ts";
import type { Clock } from "../lib/clock.ts";
import type { Background } from "../lib/within.ts";
import * as limits from "../limits.ts";
import { HotNames } from "./hot.ts";
import type { LoadAsk, LoadReply } from "./loader.ts";

export interface ReadServices {
	readonly db: Database;
	readonly shared: SharedStore;
	readonly origin: Pick<Origin, "isAway" | "failed">;
	readonly clock: Clock;
	/** The epoch of the tenant's living lease; null where there is none. */
	readonly epochNow: (tenant: string) => number | null;
	/** Asks the object that reads for all isolates. Rejects when it does not answer in time. */
	readonly load: (tenant: string, ask: LoadAsk) => Promise<LoadReply>;
	/** Taken before a reading begins: given what comes along, remembers it as of then. */
	readonly rememberer: (tenant: string) => (warmed: readonly Warmed[]) => void;
}

export interface Rows {
	/** In the order in which they were wanted; null for what is not there. */
	readonly rows: readonly (Found | null)[];
	/** Some are of before, because Postgres does not answer. */
	readonly isKept: boolean;
}

/** Rows of a tenant, for an isolate that does not remember them. */
export interface Reads {
	/**
	 * @param background runs what nobody waits for: where it is left out, nothing comes along
	 */
	read(tenant: string, wanted: readonly Wanted[], background?: Background): Promise<Rows>;
	/** Remembers the keys that are used most, and answers what these are called; null where there is no lease. */
	warm(tenant: string): Promise<string[] | null>;
	/** A key was used, by this id or name: what is used most comes along when an isolate has nothing. */
	used(tenant: string, name: string): void;
}

/**
 * What was read under the tenant's epoch is asked for first: of Redis, then of the tenant's object,
 * which reads it once for all. Both at once where this isolate has nothing under the epoch yet, and the
 * object then tells what else will be asked for, which the request does not wait for. Where there is no
 * lease, or the object does not answer, Postgres is asked from here. What Postgres does not tell is as it was read
 * last under the epoch.
 */
export function createReads(services: ReadServices): Reads {
	const { db, shared, origin, clock, epochNow, load, rememberer } = services;
	/** The epoch of each tenant under which something was read already, and when its object was last told of uses. */
	const told = new Map<string, { readonly epoch: number; readonly at: number }>();
	/** What was used of each tenant since then. */
	const uses = new Map<string, HotNames>();

	/** Tells what was used, with `isFirst` to hear what is used most: of several objects always the same one. */
	async function tell(tenant: string, epoch: number, isFirst: boolean) {
		const used = uses.get(tenant)?.take(limits.warmKeys) ?? [];
		const remember = rememberer(tenant);
		const { warmed } = await load(tenant, { epoch, wanted: [], used, isFirst });
		remember(warmed);
		return warmed;
	}

	/** null where the object does not answer. */
	async function answersOf(tenant: string, epoch: number, wanted: readonly Wanted[]) {
		const ask = { epoch, wanted, used: [], isFirst: false };
		const reply = await load(tenant, ask).catch(() => null);
		return reply?.answers ?? null;
	}

	/** What `read` answers; while Postgres is away, what was kept of all of it. */
	async function orKept(
		tenant: string,
		epoch: number,
		wanted: readonly Wanted[],
		read: () => Promise<(Found | null)[]>,
	): Promise<Rows> {
		const kept = async () => {
			const rows = (await shared.kept(tenant, epoch, wanted)).map(rowOf);
			return rows.includes(null) ? null : { rows, isKept: true };
		};
		const known = origin.isAway ? await kept() : null;
		if (known) return known;
		try {
			return { rows: await read(), isKept: false };
		} catch (error) {
			if (!(error instanceof DatabaseUnavailable)) throw error;
			origin.failed();
			const before = await kept();
			if (!before) throw error;
			return before;
		}
	}

	return {
		async read(tenant, wanted, background) {
			const epoch = epochNow(tenant);
			if (epoch === null) return { rows: await readTogether(db, tenant, wanted), isKept: false };
			const before = told.get(tenant);
			const isFirst = background !== undefined && before?.epoch !== epoch;
			const first = isFirst ? answersOf(tenant, epoch, wanted) : null;
			const at = clock();
			if (background && (isFirst || !before || at - before.at >= limits.hotToldMs)) {
				put(told, tenant, { epoch, at }, limits.leaseTenants);
				background(tell(tenant, epoch, isFirst).catch(() => {}));
			}
			const found = (await shared.read(tenant, epoch, wanted)).map(rowOf);
			const missing = wanted.filter((_, index) => !found[index]);
			if (missing.length === 0) return { rows: found, isKept: false }; // the object may take longer, or not answer at all
			const { rows, isKept } = await orKept(tenant, epoch, missing, async () => {
				const answered = await first;
				const answers = isFirst
					? answered?.filter((_, index) => !found[index])
					: await answersOf(tenant, epoch, missing);
				if (!answers) return readTogether(db, tenant, missing);
				if (answers.includes("unavailable")) throw new DatabaseUnavailable("reads.load");
				return answers.map((answer) => (typeof answer === "object" ? answer.row : null));
			});
			const rest = [...rows];
			return { rows: found.map((row) => row ?? rest.shift() ?? null), isKept };
		},
		async warm(tenant) {
			const epoch = epochNow(tenant);
			if (epoch === null) return null;
			return (await tell(tenant, epoch, true)).map(({ name }) => name);
		},
		used(tenant, name) {
			const known = uses.get(tenant) ?? new HotNames(clock());
			known.use(name);
			if (!uses.has(tenant)) put(uses, tenant, known, limits.hotTenantsHeld);
		},
	};
}

function rowOf(value: string | null): Found | null {
	return value === null ? null : (JSON.parse(value) as Found);
}

/** Where there is no room, who was put there first goes. */
function put<Value>(map: Map<string, Value>, name: string, value: Value, atMost: number): void {
	map.delete(name);
	if (map.size >= atMost) {
		const [oldest] = map.keys();
		if (oldest !== undefined) map.delete(oldest);
	}
	map.set(name, value);
}

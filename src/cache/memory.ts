import type { Clock } from "../lib/clock.ts";
import { fractions, type Random } from "../lib/random.ts";
import * as limits from "../limits.ts";
import { Drops } from "./drops.ts";
import type { Eviction } from "./eviction.ts";
import type { Origin } from "./origin.ts";
import { S3Fifo } from "./s3fifo.ts";
import { type Bounds, Entry, Shelf } from "./shelf.ts";
import type { Moment, Store } from "./store.ts";

export interface MemoryBounds extends Bounds {
	readonly ttlMs: number;
	/**
	 * The age from which one reader, and one alone, is told that the value is not there: it renews it
	 * while the others go on reading, so that they do not all ask for it in the moment it expires.
	 */
	readonly renewMs: number;
	/**
	 * How long a value may still be read past its time, while what it comes from is known not to answer
	 * (`origin`); not at all where it is left out.
	 */
	readonly keptMs?: number;
	/** The part by which both are cut at the most; limits.cacheJitterPart where it is left out. */
	readonly jitterPart?: number;
}

export interface MemorySurroundings {
	readonly clock: Clock;
	readonly random: Random;
	/** What the values come from. */
	readonly origin?: Pick<Origin, "isAway" | "wasAwayOfLate">;
	/** Asked before something new is kept (budget.ts). */
	readonly mayFill?: () => boolean;
	/** Told of each value that was read, from here or anew: `hash` is of its name, `bytes` what it holds here. */
	readonly watch?: (hash: number, bytes: number) => void;
	/** S3-FIFO where it is left out. */
	readonly eviction?: <Value>() => Eviction<Entry<Value>>;
}

/** Since the isolate began, but for what is held now. */
export interface CacheCounts {
	readonly hits: number;
	/** Reads of names of which it was known that nobody has them. */
	readonly negativeHits: number;
	readonly misses: number;
	/** Of the misses, those of an aged entry that one reader was sent to renew. */
	readonly renewals: number;
	/** Entries that went for lack of room. */
	readonly evictions: number;
	readonly expirations: number;
	/** Entries that went because something of their tenant was changed. */
	readonly drops: number;
	readonly entries: number;
	readonly bytes: number;
}

export interface MemoryStore<Value> extends Store<Value> {
	/** Answers how many entries there were. */
	dropTenant(tenant: string): number;
	counts(): CacheCounts;
	/** Gives back so many bytes, as far as it has them beyond limits.cacheFloorPart. */
	release(bytes: number): void;
}

/**
 * The isolate's own memory, bounded in entries and in bytes. Values and the names that nobody has are in
 * rooms of their own. Whatever has expired is let go of by later calls, a few entries each.
 */
export function memoryStore<Value>(
	bounds: MemoryBounds,
	{ clock, random, origin, mayFill, watch, eviction = () => new S3Fifo() }: MemorySurroundings,
): MemoryStore<Value> {
	const values = new Shelf<Value>(bounds, eviction());
	const absences = new Shelf<null>(absenceBounds, eviction());
	const drops = new Drops();
	const draw = fractions(random);
	const { jitterPart = limits.cacheJitterPart, keptMs = 0 } = bounds;
	const counts = { hits: 0, negativeHits: 0, misses: 0, renewals: 0, drops: 0 };

	/** Times to live are cut short a little, each by another part, so that what came together does not go together. */
	const timesOf = (at: number, ttlMs: number, renewMs: number) => {
		const part = 1 - jitterPart * draw();
		return { expiresAt: at + ttlMs * part, renewAt: at + renewMs * part };
	};

	/** How long what has expired is not swept: whoever finds that it can not be read anew may want it. */
	function heldMs(): number {
		return origin?.wasAwayOfLate ? keptMs : Math.min(keptMs, limits.cacheGraceMs);
	}

	/** Of what has aged. */
	function isReadable({ expiresAt, renewing }: Entry<Value>, now: number): boolean {
		if (renewing && expiresAt > now) return true;
		return origin?.isAway === true && expiresAt + keptMs > now;
	}

	function takes(shelf: Shelf<unknown>, tenant: string, name: string, since: Moment): boolean {
		values.sweep(clock() - heldMs());
		absences.sweep(clock());
		if (drops.since(tenant, since.drops)) return false;
		// What is there already takes no more room when it is read anew.
		return !mayFill || shelf.find(tenant, name) !== undefined || mayFill();
	}

	function read(tenant: string, name: string, now: number): Value | null | undefined {
		const entry = values.find(tenant, name);
		if (entry) {
			if (entry.renewAt > now || isReadable(entry, now)) {
				values.touch(entry);
				watch?.(entry.hash, entry.bytes);
				return entry.value;
			}
			if (entry.expiresAt > now) {
				entry.renewing = true;
				counts.renewals++;
				return undefined;
			}
			// Not before it was read anew: that may be what can not be done.
			if (entry.expiresAt + keptMs <= now) values.expire(entry);
		}
		const absence = absences.find(tenant, name);
		if (!absence) return undefined;
		if (absence.expiresAt <= now) {
			absences.expire(absence);
			return undefined;
		}
		absences.touch(absence);
		return null;
	}

	return {
		get(tenant, name) {
			const value = read(tenant, name, clock());
			if (value === undefined) counts.misses++;
			else if (value === null) counts.negativeHits++;
			else counts.hits++;
			return value;
		},
		kept(tenant, name) {
			const entry = values.find(tenant, name);
			return entry && entry.expiresAt + keptMs > clock() ? entry.value : undefined;
		},
		forget(tenant, name) {
			const entry = values.find(tenant, name);
			if (entry) values.remove(entry);
		},
		now() {
			return { at: clock(), drops: drops.count };
		},
		set(tenant, name, value, bytes, since) {
			if (!takes(values, tenant, name, since)) return;
			const absence = absences.find(tenant, name);
			if (absence) absences.remove(absence);
			const times = timesOf(since.at, bounds.ttlMs, bounds.renewMs);
			const entry = new Entry(tenant, name, value, bytes, times);
			values.put(entry);
			watch?.(entry.hash, entry.bytes);
		},
		setMissing(tenant, name, since) {
			if (!takes(absences, tenant, name, since)) return;
			const entry = values.find(tenant, name);
			if (entry) values.remove(entry);
			const times = timesOf(since.at, limits.cacheNegativeMs, limits.cacheNegativeMs);
			absences.put(new Entry(tenant, name, null, 0, times));
		},
		dropTenant(tenant) {
			drops.add(tenant);
			const dropped = values.dropTenant(tenant) + absences.dropTenant(tenant);
			counts.drops += dropped;
			return dropped;
		},
		heldBytes() {
			return values.bytes + absences.bytes;
		},
		counts() {
			const both = (of: "entries" | "bytes" | "evictions" | "expirations") =>
				values[of] + absences[of];
			return {
				...counts,
				evictions: both("evictions"),
				expirations: both("expirations"),
				entries: both("entries"),
				bytes: both("bytes"),
			};
		},
		release(bytes) {
			const before = values.bytes + absences.bytes;
			absences.release(Math.min(bytes, absences.bytes), clock());
			const left = bytes - (before - values.bytes - absences.bytes);
			// A few are not why memory is short, and may be all that is left of what can not be read anew.
			const most = values.bytes - limits.cacheFloorPart * bounds.bytes;
			if (Math.min(left, most) > 0) values.release(Math.min(left, most), clock());
		},
	};
}

const absenceBounds: Bounds = {
	entries: limits.cacheNegativeEntries,
	bytes: limits.cacheNegativeBytes,
};

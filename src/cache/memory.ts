import type { Clock } from "../lib/clock.ts";
import { limits } from "../limits.ts";
import type { Store } from "./store.ts";

export interface MemoryBounds {
	readonly entries: number;
	readonly bytes: number;
	readonly ttlMs: number;
	/**
	 * The age from which one reader, and one alone, is told that the value is not there: it renews it
	 * while the others go on reading, so that they do not all ask for it in the moment it expires.
	 */
	readonly renewMs: number;
}

interface Entry<Value> {
	readonly tenant: string;
	readonly value: Value;
	readonly bytes: number;
	readonly expiresAt: number;
	readonly renewAt: number;
	renewing: boolean;
}

/** The map, the name and the entry cost about this much beside the value. */
const entryOverheadBytes = 200;

/**
 * The isolate's own memory, bounded in entries and in bytes. The least recently used go first:
 * a Map keeps the order of insertion, and a read moves its entry to the end.
 */
export function memoryStore<Value>(bounds: MemoryBounds, clock: Clock): Store<Value> {
	const entries = new Map<string, Entry<Value>>();
	/** The full names of each tenant's entries, so that dropping one tenant does not look at all. */
	const namesOf = new Map<string, Set<string>>();
	/** The number of each tenant's last drop, the latest last. */
	const drops = new Map<string, number>();
	let dropCount = 0;
	/** Of the drops that are not remembered one by one any more, the latest. */
	let droppedBefore = 0;
	let heldBytes = 0;

	function drop(name: string, entry: Entry<Value>): void {
		entries.delete(name);
		heldBytes -= entry.bytes;
		const names = namesOf.get(entry.tenant);
		names?.delete(name);
		if (names?.size === 0) namesOf.delete(entry.tenant);
	}

	function makeRoom(): void {
		for (const [name, entry] of entries) {
			if (entries.size <= bounds.entries && heldBytes <= bounds.bytes) return;
			drop(name, entry);
		}
	}

	return {
		get(tenant, name) {
			const full = nameOf(tenant, name);
			const entry = entries.get(full);
			if (!entry) return undefined;
			const now = clock();
			if (entry.expiresAt <= now) {
				drop(full, entry);
				return undefined;
			}
			if (entry.renewAt <= now && !entry.renewing) {
				entry.renewing = true;
				return undefined;
			}
			entries.delete(full);
			entries.set(full, entry);
			return entry.value;
		},
		now() {
			return { at: clock(), drops: dropCount };
		},
		set(tenant, name, value, bytes, since) {
			if ((drops.get(tenant) ?? droppedBefore) > since.drops) return;
			const full = nameOf(tenant, name);
			const before = entries.get(full);
			if (before) drop(full, before);
			const held = bytes + entryOverheadBytes + 2 * full.length;
			// It would push out everything else, and itself.
			if (held > bounds.bytes) return;
			const times = { expiresAt: since.at + bounds.ttlMs, renewAt: since.at + bounds.renewMs };
			entries.set(full, { tenant, value, bytes: held, ...times, renewing: false });
			heldBytes += held;
			const names = namesOf.get(tenant) ?? new Set();
			namesOf.set(tenant, names.add(full));
			makeRoom();
		},
		heldBytes: () => heldBytes,
		dropTenant(tenant) {
			drops.delete(tenant);
			drops.set(tenant, ++dropCount);
			if (drops.size > limits.cacheDropsRemembered) {
				const [oldest] = drops;
				if (oldest) {
					drops.delete(oldest[0]);
					droppedBefore = oldest[1];
				}
			}
			for (const name of namesOf.get(tenant) ?? []) {
				const entry = entries.get(name);
				if (entry) drop(name, entry);
			}
		},
	};
}

/** A tenant's name has no space, so the first one ends it. */
function nameOf(tenant: string, name: string): string {
	return `${tenant} ${name}`;
}

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
	/** When each tenant was dropped, the latest last: kept for as long as a read may have been under way. */
	const drops = new Map<string, number>();
	let heldBytes = 0;

	function drop(name: string, entry: Entry<Value>): void {
		entries.delete(name);
		heldBytes -= entry.bytes;
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
		set(tenant, name, value, bytes, readAt) {
			const now = clock();
			if (readAt !== undefined && (drops.get(tenant) ?? Number.NEGATIVE_INFINITY) >= readAt) return;
			const full = nameOf(tenant, name);
			const before = entries.get(full);
			if (before) drop(full, before);
			const held = bytes + entryOverheadBytes + 2 * full.length;
			// It would push out everything else, and itself.
			if (held > bounds.bytes) return;
			const born = readAt ?? now;
			const times = { expiresAt: born + bounds.ttlMs, renewAt: born + bounds.renewMs };
			entries.set(full, { tenant, value, bytes: held, ...times, renewing: false });
			heldBytes += held;
			makeRoom();
		},
		dropTenant(tenant) {
			const now = clock();
			drops.delete(tenant);
			drops.set(tenant, now);
			for (const [other, at] of drops) {
				if (at > now - limits.cacheForgetMemoryMs) break;
				drops.delete(other);
			}
			for (const [name, entry] of entries) if (entry.tenant === tenant) drop(name, entry);
		},
	};
}

/** A tenant's name has no space, so the first one ends it. */
function nameOf(tenant: string, name: string): string {
	return `${tenant} ${name}`;
}

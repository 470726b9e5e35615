import * as limits from "../limits.ts";
import type { Evictable, Eviction } from "./eviction.ts";
import { hashOf } from "./hash.ts";
import { type Place, placeFor, Queue } from "./queue.ts";

export interface Bounds {
	readonly entries: number;
	readonly bytes: number;
}

/**
 * What an entry costs beside its value and the letters of its name: its object, its two places, its part of
 * the maps and of the ghosts; and what the map of a tenant costs. Measured as heap of 50,000 entries in Node 24,
 * of one tenant and of as many, and rounded up.
 */
const entryBytes = 350;
const tenantBytes = 250;

function tenantCost(tenant: string): number {
	return tenantBytes + tenant.length;
}

export class Entry<Value> implements Evictable<Entry<Value>> {
	readonly tenant: string;
	readonly name: string;
	readonly hash: number;
	readonly value: Value;
	/** With all that is around the value. */
	readonly bytes: number;
	readonly expiresAt: number;
	readonly renewAt: number;
	renewing = false;
	reads = 0;
	readonly place: Place<Entry<Value>> = placeFor<Entry<Value>>(this);
	/** Among all entries in the order in which they came. */
	readonly age: Place<Entry<Value>> = placeFor<Entry<Value>>(this);

	constructor(
		tenant: string,
		name: string,
		value: Value,
		bytes: number,
		times: { readonly expiresAt: number; readonly renewAt: number },
	) {
		this.tenant = tenant;
		this.name = name;
		this.hash = hashOf(tenant, name);
		this.value = value;
		this.bytes = bytes + entryBytes + name.length;
		this.expiresAt = times.expiresAt;
		this.renewAt = times.renewAt;
	}
}

/** Entries inside their bounds. It knows when one has expired, and not what that means. */
export class Shelf<Value> {
	readonly #bounds: Bounds;
	readonly #eviction: Eviction<Entry<Value>>;
	readonly #tenants = new Map<string, Map<string, Entry<Value>>>();
	readonly #ages = new Queue<Entry<Value>>();
	entries = 0;
	bytes = 0;
	evictions = 0;
	expirations = 0;

	constructor(bounds: Bounds, eviction: Eviction<Entry<Value>>) {
		this.#bounds = bounds;
		this.#eviction = eviction;
	}

	find(tenant: string, name: string): Entry<Value> | undefined {
		return this.#tenants.get(tenant)?.get(name);
	}

	touch(entry: Entry<Value>): void {
		this.#eviction.touch(entry);
	}

	/** In the place of what had its name. One that would push out everything else, and itself, is not kept. */
	put(entry: Entry<Value>): void {
		const before = this.find(entry.tenant, entry.name);
		if (before) this.remove(before);
		if (entry.bytes + tenantCost(entry.tenant) > this.#bounds.bytes) return;
		while (this.#isTight(entry)) this.#evictOne();
		const names = this.#tenants.get(entry.tenant);
		this.bytes += this.#costOf(entry);
		if (names) names.set(entry.name, entry);
		else this.#tenants.set(entry.tenant, new Map([[entry.name, entry]]));
		this.entries++;
		this.#ages.push(entry.age);
		this.#eviction.add(entry);
		// It was wanted before; that it was read anew must not make it a stranger.
		if (before) this.#eviction.touch(entry);
	}

	remove(entry: Entry<Value>): void {
		this.#eviction.remove(entry);
		this.#forget(entry);
	}

	expire(entry: Entry<Value>): void {
		this.expirations++;
		this.remove(entry);
	}

	/** Answers how many entries there were. */
	dropTenant(tenant: string): number {
		const names = this.#tenants.get(tenant);
		if (!names) return 0;
		const { size } = names;
		for (const entry of names.values()) this.remove(entry);
		return size;
	}

	/** Lets go of some that have expired. Their order is by age, so what it does not see is nearly as young. */
	sweep(now: number, most: number = limits.cacheSweepPerCall): void {
		for (let i = 0; i < most; i++) {
			const oldest = this.#ages.oldest?.item;
			if (!oldest || oldest.expiresAt > now) return;
			this.expire(oldest);
		}
	}

	/** Gives back at least so many bytes, if it has them: what has expired first, the oldest of it. */
	release(bytes: number, now: number): void {
		const target = this.bytes - bytes;
		while (this.entries > 0 && this.bytes > target) {
			const oldest = this.#ages.oldest?.item;
			if (oldest && oldest.expiresAt <= now) this.expire(oldest);
			else this.#evictOne();
		}
	}

	#costOf({ tenant, bytes }: Entry<Value>): number {
		return this.#tenants.has(tenant) ? bytes : bytes + tenantCost(tenant);
	}

	#isTight(entry: Entry<Value>): boolean {
		const { bytes, entries } = this.#bounds;
		return this.entries >= entries || this.bytes + this.#costOf(entry) > bytes;
	}

	#evictOne(): void {
		const gone = this.#eviction.evict();
		if (!gone) throw new Error("a full shelf has nothing to evict");
		this.evictions++;
		this.#forget(gone);
	}

	#forget(entry: Entry<Value>): void {
		const { tenant, name } = entry;
		this.#ages.remove(entry.age);
		const names = this.#tenants.get(tenant);
		names?.delete(name);
		if (names?.size === 0) this.#tenants.delete(tenant);
		this.bytes -= this.#costOf(entry);
		this.entries--;
	}
}

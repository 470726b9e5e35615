import * as limits from "../limits.ts";

/** A point in a store's life: finer than its clock. */
export interface Moment {
	/** Milliseconds. */
	readonly at: number;
	/** Tenants dropped until then. */
	readonly drops: number;
}

/** The moment of a value that was not read anew: it has no time left, and is used where nothing better is to be had. */
export function agedOut({ at, drops }: Moment): Moment {
	return { at: at - limits.cacheTtlMs, drops };
}

/**
 * A place that remembers values by name for a while. The name always begins with the tenant.
 * A store may forget at any time; whoever asks knows where to read the value anew.
 */
export interface Store<Value> {
	/**
	 * undefined when nothing is known or its time is over, null when it is known that there is no such
	 * value.
	 */
	get(tenant: string, name: string): Value | null | undefined;
	/** The same of a value whose time is over, for whoever has found that it can not be read anew; where it is held. */
	kept(tenant: string, name: string): Value | undefined;
	/** There is no such value any more where it would come from. */
	forget(tenant: string, name: string): void;
	/**
	 * `bytes` is what the value holds, as its owner accounts for it. `since` is the moment before it was
	 * read: its age counts from there, and it is not kept if the tenant was dropped since.
	 */
	set(tenant: string, name: string, value: Value, bytes: number, since: Moment): void;
	/**
	 * There is no such value where it would come from. Remembered for limits.cacheNegativeMs and in room of
	 * its own, so that names nobody has push nothing out.
	 */
	setMissing(tenant: string, name: string, since: Moment): void;
	/** Taken before a value is read from where it comes from. */
	now(): Moment;
	/** Bytes that all its values hold, as their owners account for them. */
	heldBytes(): number;
	/** Forgets all that it has of a tenant: something of it was changed. */
	dropTenant(tenant: string): void;
}

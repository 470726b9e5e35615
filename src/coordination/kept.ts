import type { Origin } from "../cache/origin.ts";
import type { Store } from "../cache/store.ts";
import { DatabaseUnavailable } from "../db/client.ts";

/**
 * What `read` answers, which puts it into the store; where Postgres is away, what the store still has of it
 * (MemoryBounds.keptMs). For what is looked at under a living lease alone: an epoch that moves drops it, and no
 * change is made without that.
 */
export async function readOrKept<Value>(
	{ store, origin }: { readonly store: Store<Value>; readonly origin: Pick<Origin, "failed"> },
	tenant: string,
	name: string,
	read: () => Promise<Value | null>,
): Promise<Value | null> {
	try {
		const value = await read();
		if (value === null) store.forget(tenant, name);
		return value;
	} catch (error) {
		if (!(error instanceof DatabaseUnavailable)) throw error;
		origin.failed();
		const kept = store.kept(tenant, name);
		if (kept === undefined) throw error;
		return kept;
	}
}

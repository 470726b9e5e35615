import type { Store } from "../cache/store.ts";
import { DatabaseUnavailable } from "../db/client.ts";

/**
 * What `read` answers; where Postgres is away, what the store still has of it (MemoryBounds.keptMs). For what is
 * looked at under a living lease alone: that an epoch moved drops it, and no change is made without one.
 */
export async function readOrKept<Value>(
	store: Store<Value>,
	tenant: string,
	name: string,
	read: () => Promise<Value | null>,
): Promise<Value | null> {
	try {
		return await read();
	} catch (error) {
		const kept = error instanceof DatabaseUnavailable ? store.kept(tenant, name) : undefined;
		if (kept === undefined) throw error;
		return kept;
	}
}

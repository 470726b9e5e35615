import { closingAt, type Database, ping } from "../db/client.ts";
import type { Clock } from "../lib/clock.ts";
import { ok, type Result } from "../lib/result.ts";
import { sleep } from "../lib/sleep.ts";
import * as limits from "../limits.ts";

/** What a change needs of the tenant's coordinator. */
export interface ChangeServices {
	readonly coordinator: {
		/** Notes that something of the tenant is about to change, before it is committed. */
		announce(tenant: string, kind: ChangeKind): Promise<string>;
		/** The change is committed. Answers the new epoch, and how long leases of older ones can still live. */
		confirm(
			tenant: string,
			change: string,
		): Promise<{ readonly epoch: number; readonly oldLeasesMs: number }>;
		/** Nothing was changed: the epoch stays. */
		withdraw(tenant: string, change: string): Promise<void>;
	};
	readonly forgetTenant: (tenant: string, epoch?: number) => void;
	readonly db: Database;
	readonly clock: Clock;
}

/** `config` makes the coordinator read the tenant's configuration anew. */
export type ChangeKind = "state" | "config";

export interface ChangeOptions {
	readonly kind?: ChangeKind;
	/** Answer only when no lease of the old epoch can still be alive. */
	readonly fence?: boolean;
}

/**
 * A write that isolates must hear of: announced to the coordinator, committed by `write`, confirmed.
 * Whatever stops it in between, the coordinator moves the epoch by itself after limits.changeTimeoutMs,
 * so nothing is committed later: the database that `write` is given takes no call after changeWriteMs,
 * and ends each by itself.
 */
export async function changing<T, E>(
	{ coordinator, forgetTenant, db, clock }: ChangeServices,
	tenant: string,
	{ kind = "state", fence = false }: ChangeOptions,
	write: (db: Database) => Promise<Result<T, E>>,
): Promise<Result<T, E>> {
	// Nothing is announced for what can not be made: the epoch would move for it, and every isolate forget what it has.
	await ping(db);
	const until = clock() + limits.changeWriteMs;
	const change = await coordinator.announce(tenant, kind);
	// Should this throw, nobody knows whether it was committed: the coordinator's alarm ends it.
	const written = await write(closingAt(db, clock, until)).catch((error: unknown) => {
		forgetTenant(tenant);
		throw error;
	});
	if (!written.ok) {
		// Should it not be heard, the epoch moves without need.
		await coordinator.withdraw(tenant, change).catch(() => {});
		return written;
	}
	forgetTenant(tenant);
	const { oldLeasesMs, epoch } = await coordinator
		.confirm(tenant, change)
		.catch(() => coordinator.confirm(tenant, change));
	forgetTenant(tenant, epoch); // what was read between the commit and the new epoch
	if (fence) await sleep(Math.min(oldLeasesMs, limits.leaseMs));
	return ok(written.value);
}

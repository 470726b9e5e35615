import { expirableDays, expireDay, noteExpired } from "../db/audit-archives.ts";
import { withOutbox } from "../db/audit-outbox.ts";
import type { Database } from "../db/client.ts";
import { firstId as noToken } from "../db/columns.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { uuidv7 } from "../lib/uuid.ts";
import { limits } from "../limits.ts";
import { deleteUnder } from "./archive-delete.ts";
import { placeOf } from "./log.ts";
import { dayPrefix } from "./manifest.ts";
import { firstId, timeOf } from "./record.ts";

export interface ExpireServices {
	readonly db: Database;
	readonly archive: R2Bucket;
	readonly clock: Clock;
	readonly random: Random;
}

/**
 * Deletes the files of archived days that are older than their tenants keep them; of how many days.
 * The decision is committed together with its record, then the files go. The manifests stay: they say
 * what was there, and where its chains went on.
 */
export async function expireSlice(services: ExpireServices): Promise<number> {
	const { db, archive, clock } = services;
	const today = new Date(clock()).toISOString().slice(0, 10);
	let expired = 0;
	for (const { state, ...of } of await expirableDays(db, today, limits.auditExpiredDaysPerRun)) {
		if (state === "archived" && !(await expireDay(recorded(services, of.tenant), of, today)))
			continue;
		await deleteUnder(archive, dayPrefix(of), (key) => key.endsWith(".parquet"));
		await noteExpired(db, of);
		expired++;
	}
	return expired;
}

/** The database for a deletion that the service itself decides on. */
function recorded({ db, clock, random }: ExpireServices, tenant: string): Database {
	const id = firstId(uuidv7(clock, random));
	const note = {
		id,
		at: timeOf({ id }),
		place: placeOf(tenant, {}, 0),
		requestId: uuidv7(clock, random),
		tokenId: noToken,
		action: "audit.expire",
		address: "",
		cost: 0,
	};
	return withOutbox(db, note).db;
}

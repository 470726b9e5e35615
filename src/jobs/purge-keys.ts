import { ownNote } from "../audit/own.ts";
import { firstRecordId } from "../audit/record.ts";
import { type ChangeServices, changing } from "../coordination/change.ts";
import { dueKeys, purgeKeys } from "../db/keys.ts";
import type { Random } from "../lib/random.ts";
import { ok } from "../lib/result.ts";
import { uuidv7 } from "../lib/uuid.ts";
import * as limits from "../limits.ts";

interface PurgeServices extends ChangeServices {
	readonly random: Random;
}

/**
 * Deletes the keys whose day of deletion has come, their sealed secrets with them; how many. Isolates hear of
 * it as of any change: another key may have the name at once. What fails for one tenant keeps no other's.
 */
export async function purgeDueKeys(services: PurgeServices): Promise<number> {
	const failures: unknown[] = [];
	let purged = 0;
	for (const { tenant_id: tenant, keys } of await dueKeys(services.db, limits.purgeKeysPerRun)) {
		try {
			purged += await purgeOf(services, tenant, keys);
		} catch (error) {
			failures.push(error);
		}
	}
	if (failures.length > 0) throw failures[0];
	return purged;
}

async function purgeOf(services: PurgeServices, tenant: string, keys: number): Promise<number> {
	const now = services.clock();
	const sources = { clock: () => now, random: services.random };
	const note = ownNote(sources, tenant, "keys.purge");
	const ids = Array.from({ length: keys }, () =>
		firstRecordId(uuidv7(sources.clock, sources.random)),
	);
	const done = await changing(services, tenant, {}, async (db) =>
		ok(await purgeKeys(db, tenant, { note, ids })),
	);
	return done.ok ? done.value : 0;
}

import { ownNote } from "../audit/own.ts";
import { firstId } from "../audit/record.ts";
import type { Database } from "../db/client.ts";
import { purgeKeys } from "../db/keys.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { uuidv7 } from "../lib/uuid.ts";
import { limits } from "../limits.ts";

interface PurgeServices {
	readonly db: Database;
	readonly clock: Clock;
	readonly random: Random;
}

/** Deletes the keys whose day of deletion has come, their sealed secrets with them; how many. */
export async function purgeDueKeys({ db, clock, random }: PurgeServices): Promise<number> {
	const now = clock();
	const note = ownNote({ clock: () => now, random }, "", "keys.purge");
	const newId = () => firstId(uuidv7(() => now, random));
	return purgeKeys(db, { note, ids: Array.from({ length: limits.purgeKeysPerRun }, newId) });
}

import type { Database } from "../db/client.ts";
import { purgeKeys } from "../db/keys.ts";
import { limits } from "../limits.ts";

/** Deletes the keys whose day of deletion has come, their sealed secrets with them; how many. */
export async function purgeDueKeys({ db }: { readonly db: Database }): Promise<number> {
	return purgeKeys(db, limits.purgeKeysPerRun);
}

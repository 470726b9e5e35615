import type { Database } from "../db/client.ts";
import { purgeEffects } from "../db/effects.ts";
import * as limits from "../limits.ts";

/** Deletes the marks of requests whose Idempotency-Key is long forgotten; how many. */
export async function purgeOldEffects({ db }: { readonly db: Database }): Promise<number> {
	return purgeEffects(db, limits.purgeEffectsPerRun);
}

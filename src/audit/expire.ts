import {
	type ExpirableRow,
	expirableDays,
	expireDay,
	isStillPast,
	noteExpired,
} from "../db/audit-archives.ts";
import { withOutbox } from "../db/audit-outbox.ts";
import type { Database } from "../db/client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import * as limits from "../limits.ts";
import type { Archive } from "./archive-bucket.ts";
import { deleteUnder } from "./archive-delete.ts";
import { someUnder } from "./archive-kept.ts";
import { dayPrefix, deletionKey } from "./manifest.ts";
import { ownNote } from "./own.ts";
import type { AuditSigner } from "./signer.ts";

export interface ExpireServices {
	readonly db: Database;
	readonly archive: Archive;
	readonly auditSigner: AuditSigner;
	readonly clock: Clock;
	readonly random: Random;
}

/**
 * Deletes the files of archived days that are older than their tenants keep them; of how many days.
 * The decision is committed together with its record, then the archive is given its word of it, from which on
 * nobody reads the files, then they go. A legal hold that was answered before the last look, which is right before
 * the word, keeps all of them. The manifests stay: they say what was there, and where its chains went on.
 */
export async function expireSlice(services: ExpireServices): Promise<number> {
	const { db, clock } = services;
	const today = new Date(clock()).toISOString().slice(0, 10);
	const failures: unknown[] = [];
	let expired = 0;
	for (const day of await expirableDays(db, today, limits.auditExpiredDaysPerRun)) {
		try {
			if (await expire(services, day, today)) expired++;
		} catch (error) {
			failures.push(error); // of one day: what others keep is not decided by it
			if (failures.length >= limits.auditExpiredFailuresPerRun) break;
		}
	}
	if (failures.length > 0) throw failures[0];
	return expired;
}

/** Whether it is gone now. */
async function expire(
	services: ExpireServices,
	{ state, ...of }: ExpirableRow,
	today: string,
): Promise<boolean> {
	const { db, archive, auditSigner, clock } = services;
	const recorded = withOutbox(db, ownNote(services, of.tenant, "audit.expire")).db;
	if (state === "archived" && !(await expireDay(recorded, of, today))) return false;
	const said = { ...of, at: new Date(clock()).toISOString() };
	const word = await auditSigner.sign("edgesign-audit-deletion+jwt", said);
	if (!(await isStillPast(db, of, today))) return false;
	// Once given it is not given anew, whatever Postgres says: its time is from when on an export can have no record of it.
	const key = deletionKey(of);
	if (!(await someUnder(archive, key, () => true))) await archive.put(key, word);
	await deleteUnder(archive, dayPrefix(of), (key) => key.endsWith(".parquet"));
	await noteExpired(db, of);
	return true;
}

import type { Database } from "../db/client.ts";
import { countSpares, dropOldSpares, insertSpare, takeSpare } from "../db/spares.ts";
import { fromBase64, toBase64 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { uuidv7 } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import type { Envelope } from "./envelope.ts";
import { type KeyMaterial, rsaModulusLengths } from "./types.ts";

/*
 * RSA keys made ahead of their use: finding two primes takes 0.1 s to seconds, more than a request
 * should wait. RS256 and PS256 keys have the same form, so one stock serves both.
 */

export interface SpareServices {
	readonly db: Database;
	readonly envelope: Envelope;
	readonly clock: Clock;
	readonly random: Random;
}

/** A spare belongs to no tenant; the tenant's name in its seal is one that no tenant can have. */
function sealContext(id: string, modulusLength: number) {
	return { tenant: "*", keyId: id, version: modulusLength, algorithm: "RSA" };
}

/** null when none waits, or when the one taken can not be opened any more: it is gone, and no loss. */
export async function takeSpareKey(
	{ db, envelope }: SpareServices,
	modulusLength: number,
): Promise<KeyMaterial | null> {
	const row = await takeSpare(db, modulusLength);
	const bytes = row && fromBase64(row.sealed);
	if (!bytes) return null;
	try {
		const sealed = { kekId: row.kek_id, bytes };
		const secret = await envelope.open(sealed, sealContext(row.id, modulusLength));
		return { secret, publicJwk: row.public_jwk };
	} catch {
		return null;
	}
}

/**
 * Fills the stock up, a bounded number of keys a run; how many were made.
 * @param generate a new RSA key of so many bits: PKCS#8, and its public half
 */
export async function refillSpareKeys(
	services: SpareServices,
	generate: (modulusLength: number) => Promise<KeyMaterial>,
): Promise<number> {
	const { db, envelope, clock, random } = services;
	await dropOldSpares(db, envelope.newestKekId);
	const counts = await countSpares(db);
	const missing = rsaModulusLengths.flatMap((bits) => {
		const short = limits.spareRsaKeysPerSize - (counts.get(bits) ?? 0);
		return Array.from({ length: Math.max(0, short) }, () => bits);
	});
	const batch = missing.slice(0, limits.spareRsaKeysMadePerRun);
	for (const bits of batch) {
		const { secret, publicJwk } = await generate(bits);
		if (!secret || !publicJwk) throw new Error("an RSA key was generated without its halves");
		const id = uuidv7(clock, random);
		const sealed = await envelope.seal(secret, sealContext(id, bits));
		secret.fill(0);
		const row = { id, public_jwk: publicJwk, kek_id: sealed.kekId, sealed: toBase64(sealed.bytes) };
		await insertSpare(db, bits, row);
	}
	return batch.length;
}

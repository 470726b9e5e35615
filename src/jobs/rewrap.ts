import { ownNote } from "../audit/own.ts";
import type { Database } from "../db/client.ts";
import { firstId } from "../db/columns.ts";
import { countSealed, replaceSealed, type SealedRow, sealedUnder } from "../db/sealed.ts";
import { fromBase64, toBase64 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import * as limits from "../limits.ts";
import { type Envelope, EnvelopeError } from "../signing/envelope.ts";

export interface RewrapServices {
	readonly db: Database;
	readonly envelope: Envelope;
	readonly clock: Clock;
	readonly random: Random;
}

export interface RewrapReport {
	/** Versions that stand under the newest key-encryption key now and did not before. */
	readonly moved: number;
	/** Versions that did not open, and stay as they were. */
	readonly failed: readonly Pick<SealedRow, "tenant_id" | "key_id" | "version">[];
}

/**
 * Moves every sealed secret under the newest key-encryption key while the service runs. A version is
 * readable at every moment, under its old seal or its new one, so every isolate must know both keys
 * before this begins. An isolate that still seals under the old one may do so behind this walk, so it
 * goes round until nothing is left to move. It can be stopped and run again at any time. Each tenant's log
 * says that its keys were opened for it, once for so many of them as are moved together.
 */
export async function rewrap(
	services: RewrapServices,
	onProgress: (done: number, total: number) => void = () => {},
): Promise<RewrapReport> {
	let moved = 0;
	for (let pass = 0; pass < limits.rewrapPasses; pass++) {
		const report = await walk(services, onProgress);
		moved += report.moved;
		if (report.moved === 0) return { moved, failed: report.failed };
	}
	throw new Error(`after ${limits.rewrapPasses} rounds keys are still being sealed under old keys`);
}

async function walk(
	services: RewrapServices,
	onProgress: (done: number, total: number) => void,
): Promise<RewrapReport> {
	const { db, envelope } = services;
	const old = (await countSealed(db)).filter(({ kekId }) => kekId !== envelope.newestKekId);
	const total = old.reduce((sum, count) => sum + count.versions, 0);
	const failed: SealedRow[] = [];
	let moved = 0;
	for (const { kekId } of old) {
		let after = { tenant_id: "", key_id: firstId, version: 0 };
		for (;;) {
			const rows = await sealedUnder(db, kekId, after, limits.rewrapPerSlice);
			const last = rows.at(-1);
			if (!last) break;
			after = last;
			const resealed = await reseal(services, kekId, rows, failed);
			const tenants = [...new Set(resealed.map(({ tenant_id }) => tenant_id))];
			const notes = tenants.map((tenant) => ownNote(services, tenant, "operator.rewrap"));
			const to = envelope.newestKekId;
			moved += await replaceSealed(db, { from: kekId, to }, resealed, { tenants, notes });
			onProgress(moved + failed.length, total);
		}
	}
	return { moved, failed };
}

async function reseal(
	{ envelope }: RewrapServices,
	kekId: string,
	rows: readonly SealedRow[],
	failed: SealedRow[],
): Promise<SealedRow[]> {
	const resealed: SealedRow[] = [];
	for (const row of rows) {
		const { tenant_id: tenant, key_id: keyId, version, algorithm } = row;
		const context = { tenant, keyId, version, algorithm };
		try {
			const bytes = fromBase64(row.sealed) ?? new Uint8Array();
			const secret = await envelope.open({ kekId, bytes }, context);
			const sealed = await envelope.seal(secret, context);
			secret.fill(0);
			resealed.push({ ...row, sealed: toBase64(sealed.bytes) });
		} catch (error) {
			if (!(error instanceof EnvelopeError)) throw error;
			failed.push(row);
		}
	}
	return resealed;
}

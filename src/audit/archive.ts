import {
	type ArchiveRow,
	addArchiveFile,
	archivedDays,
	archiveFiles,
	archivePage,
	closeDay,
	dropDay,
	finishArchive,
	oldestDay,
	openArchive,
	type TenantDay,
	unarchivedTenant,
} from "../db/audit-archives.ts";
import type { Database } from "../db/client.ts";
import { firstId } from "../db/columns.ts";
import { toHex } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { createPace, type Pace, type Rest } from "../lib/pace.ts";
import * as limits from "../limits.ts";
import { describeError, type Log } from "../observe/log.ts";
import { type Archive, bytesIn } from "./archive-bucket.ts";
import { deleteUnder } from "./archive-delete.ts";
import { fetchSlowly, storeSlowly } from "./archive-store.ts";
import { fromEventRow } from "./event-rows.ts";
import {
	type ArchiveFile,
	dayPrefix,
	describeFile,
	extendChains,
	fileKey,
	loadManifest,
	makeManifest,
	manifestKey,
	payloadOf,
	roundOf,
} from "./manifest.ts";
import { inMemory, openParquet, recordColumns } from "./parquet.ts";
import { encodeParquet, hasRecords } from "./parquet-file.ts";
import { timeOf } from "./record.ts";
import type { AuditSigner } from "./signer.ts";
import type { SourcedRecord } from "./source.ts";
import type { ChainSpan } from "./span.ts";

export interface ArchiveServices {
	readonly db: Database;
	readonly archive: Archive;
	readonly auditSigner: AuditSigner;
	readonly clock: Clock;
	/** After each turn of a millisecond or less. */
	readonly rest: Rest;
	readonly log: Log;
}

/** How much goes into a file, and how much is done in a run. */
export interface ArchiveBounds {
	readonly fileRecords: number;
	readonly pageRecords: number;
	readonly filesPerRun: number;
	readonly runMs: number;
}

const usualBounds: ArchiveBounds = {
	fileRecords: limits.auditArchiveFileRecords,
	pageRecords: limits.auditArchivePageRecords,
	filesPerRun: limits.auditArchiveFilesPerRun,
	runMs: limits.auditArchiveRunMs,
};

/** What a run has left to do, and what it could not do. */
interface Run {
	files: number;
	readonly until: number;
	readonly failures: unknown[];
}

const dayMs = 24 * 3600 * 1000;

/**
 * Brings the next records from days that are over for longer than `hotDays` to R2; how many. A day is
 * closed, each tenant's part of it is written, read back and compared, and then its partition is
 * dropped. Where it ends, at whatever step, the next run goes on. What fails for one tenant, or at closing or dropping
 * the day, keeps that day's partition, and neither other tenants nor later days: it is logged, and thrown when the
 * run is over.
 */
export async function archiveSlice(
	services: ArchiveServices,
	hotDays: number,
	bounds: ArchiveBounds = usualBounds,
): Promise<number> {
	const { db, clock } = services;
	const run: Run = { files: bounds.filesPerRun, until: clock() + bounds.runMs, failures: [] };
	const before = new Date(clock() - hotDays * dayMs).toISOString().slice(0, 10);
	let records = 0;
	for (let kept: string | null = null; hasLeft(run, clock); ) {
		const day = await oldestDay(db, before, kept);
		if (day === null) break;
		const failed = run.failures.length;
		try {
			await closeDay(db, day);
			records += await archiveDay(services, day, run, bounds);
			if (!hasLeft(run, clock)) break;
			if (run.failures.length === failed) {
				run.files--;
				await dropDay(db, day);
			}
		} catch (error) {
			noteFailure(services, run, day, error); // somebody may have it locked for long
		}
		if (run.failures.length > failed) kept = day;
	}
	if (run.failures.length > 0) throw run.failures[0];
	return records;
}

function noteFailure({ log }: ArchiveServices, run: Run, of: string, error: unknown): void {
	const described = `${of}: ${describeError(error)}`;
	log({ event: "job_failed", job: "archiveAudit", error: described });
	run.failures.push(error);
}

function hasLeft({ files, until }: Run, clock: Clock): boolean {
	return files > 0 && clock() < until;
}

/** The parts of a closed day, of those tenants for whom nothing fails; how many records. */
async function archiveDay(
	services: ArchiveServices,
	day: string,
	run: Run,
	bounds: ArchiveBounds,
): Promise<number> {
	const stuck: string[] = [];
	let records = 0;
	do {
		const tenant = await unarchivedTenant(services.db, day, stuck);
		if (tenant === null) break;
		try {
			records += await archiveTenant(services, { tenant, day }, run, bounds);
		} catch (error) {
			noteFailure(services, run, `${tenant} ${day}`, error);
			stuck.push(tenant);
		}
	} while (hasLeft(run, services.clock));
	return records;
}

/** The next files of a tenant's day, and its manifest when they are all there; how many records they have. */
async function archiveTenant(
	services: ArchiveServices,
	of: TenantDay,
	run: Run,
	bounds: ArchiveBounds,
): Promise<number> {
	run.files--; // whatever fails before the first file is bounded too
	const opened = await openArchive(services.db, of);
	const pace = createPace(limits.auditArchivePaceValues, services.rest);
	let state: ArchiveRow = opened;
	for (;;) {
		const records = await nextRecords(services.db, of, state.after_id, bounds, pace);
		if (records.length === 0) {
			await finish(services, of, state);
			break;
		}
		const next = await writeFile(services, of, state, records, pace);
		if (next === null) break; // another run is at it
		state = next;
		if (!hasLeft(run, services.clock)) break;
		run.files--;
	}
	return state.records - opened.records;
}

/** As many records as a file has, in pages. */
async function nextRecords(
	db: Database,
	of: TenantDay,
	afterId: string | null,
	{ fileRecords, pageRecords }: ArchiveBounds,
	pace: Pace,
): Promise<SourcedRecord[]> {
	const records: SourcedRecord[] = [];
	while (records.length < fileRecords) {
		const id = records.at(-1)?.record.id ?? afterId;
		const after = id === null ? { id: firstId, at: null } : { id, at: timeOf({ id }) };
		const size = Math.min(pageRecords, fileRecords - records.length);
		const page = await archivePage(db, of, after, size);
		for (const row of page) records.push(fromEventRow(of.tenant, row));
		await pace(page.length * recordColumns.length);
		if (page.length < size) break;
	}
	return records;
}

/** Writes a file, reads it back, compares it and notes it; null where another run was first. */
async function writeFile(
	{ db, archive }: ArchiveServices,
	of: TenantDay,
	state: ArchiveRow,
	records: readonly SourcedRecord[],
	pace: Pace,
): Promise<ArchiveRow | null> {
	const { round, parts: part } = state;
	const bytes = await encodeParquet(records, pace);
	const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
	const key = fileKey(of, round, part, sha256);
	await storeSlowly(archive, key, bytes, sha256, pace);
	const stored = await fetchSlowly(archive, key, bytes.length, sha256, pace);
	if (!(await hasRecords(await openParquet(inMemory(stored.buffer)), records, pace))) {
		throw new Error(`${key} does not say what Postgres does`);
	}
	const afterId = records.at(-1)?.record.id ?? null;
	if (afterId === null) return null;
	const file = await describeFile(key, bytes, sha256, records, pace);
	const chains = extendChains(state.chains as readonly ChainSpan[], records);
	const added = { round, part, records: records.length, afterId, chains, file };
	const next = await addArchiveFile(db, of, added);
	if (next === null && !(await isNamed({ db, archive }, of, round, key))) await archive.delete(key);
	return next;
}

/**
 * Whether a file that this run could not note was noted by another one: of the same bytes it has the same name. Where
 * it is not by now it never will be, and nothing would ever lead to it.
 */
async function isNamed(
	{ db, archive }: Pick<ArchiveServices, "db" | "archive">,
	of: TenantDay,
	round: number,
	key: string,
): Promise<boolean> {
	// In this order: a manifest has them before the notes go.
	const noted = (await archiveFiles(db, of, round)) as ArchiveFile[];
	if (noted.some((file) => file.key === key)) return true;
	const [day] = await archivedDays(db, of.tenant, { from: of.day, to: of.day }, 1);
	if (day?.round !== round) return false;
	const { files } = await loadManifest(archive, of.tenant, day);
	return files.some((file) => file.key === key);
}

/** The manifest over all files of the day; with it the day is archived. */
async function finish(
	{ db, archive, auditSigner }: ArchiveServices,
	of: TenantDay,
	state: ArchiveRow,
): Promise<void> {
	const { round, parts } = state;
	const files = (await archiveFiles(db, of, round)) as ArchiveFile[];
	if (files.length !== parts || parts === 0) return; // another run was first
	const manifest = makeManifest(of, round, files, state.chains as readonly ChainSpan[]);
	if (!manifest) throw new Error("a day without records is to be archived");
	// Nothing leads to rounds before this one, nor to files of it that others wrote in vain: every part of
	// it is noted. A round after it is another run's, and is wanted.
	const named = new Set(files.map(({ key }) => key));
	const isVain = (key: string) => key.endsWith(".parquet") && !named.has(key);
	await deleteUnder(archive, dayPrefix(of), (key) => {
		const written = roundOf(of, key);
		return written < round || (written === round && isVain(key));
	});
	const jws = await auditSigner.sign("edgesign-audit-manifest+jwt", manifest);
	const key = manifestKey(of, round);
	await archive.put(key, jws);
	const stored = new TextDecoder().decode(await bytesIn(archive, key));
	const payload = payloadOf(jws);
	if (stored !== jws || !payload) throw new Error(`${key} is not what was written`);
	const sha256 = await crypto.subtle.digest("SHA-256", payload);
	await finishArchive(db, of, { round, parts }, toHex(new Uint8Array(sha256)));
}

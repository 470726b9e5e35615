import { type Bytes, toBase64, utf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/sha256.ts";
import { uuidBytes } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import { leafOf } from "./chain.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { canonicalRecord, type EncodedRecord } from "./record.ts";
import { showFilter, showRecord } from "./shown.ts";
import type { AuditSigner } from "./signer.ts";
import type { RecordFilter, RecordSource, SourcedRecord } from "./source.ts";
import type { ChainSpan } from "./span.ts";

/** The first line: which export it is, and what the log was when it began. */
export interface ExportHeader {
	readonly export: {
		readonly format: 1;
		readonly id: string;
		readonly filter: ReturnType<typeof showFilter>;
		/** A JWS of a Checkpoint. */
		readonly checkpoint: string;
	};
}

/** A line of a record. */
export interface ExportedRecord {
	/** Its number in the export, from 1. */
	readonly n: number;
	readonly record: ReturnType<typeof showRecord>;
	/** The record's canonical bytes in base64, the two parts of it. */
	readonly canonical: readonly [string, string];
	/** The digest of all lines up to here, in base64. */
	readonly running: string;
}

/** What a seal says, in the middle of an export or at its end. */
export interface ExportSeal {
	readonly export: string;
	/** Records so far. */
	readonly count: number;
	/** `running` of the last of them. */
	readonly running: string;
}

/** What an export says of a day whose records were deleted because they were old enough. */
export interface ExpiredDay {
	readonly export: string;
	readonly tenant: string;
	readonly day: string;
	/** SHA-256 of what the day's manifest says, in hexadecimal. */
	readonly manifest: string;
	readonly records: number;
	readonly chains: readonly ChainSpan[];
	/**
	 * From when on nobody read them (ISO 8601): an export that had begun may have some. null where that was before it
	 * was noted; none in statements of before it was told.
	 */
	readonly deleted?: string | null;
}

const linePrefix = Uint8Array.of(0x05);
const startPrefix = Uint8Array.of(0x06);
const expiredPrefix = Uint8Array.of(0x07);

/** Before the first record: SHA-256 of 0x06 and the first line without its end. */
export function runningStart(header: string): Bytes {
	return sha256(startPrefix, utf8(header));
}

/** SHA-256 of 0x05, the digest so far, the chain's id (16), the number in it (8), the link and the leaf. */
export function runningNext(
	before: Bytes,
	{ chain, sequence, link }: Pick<SourcedRecord, "chain" | "sequence" | "link">,
	leaf: Bytes,
): Bytes {
	const place = new Uint8Array(24);
	place.set(uuidBytes(chain));
	new DataView(place.buffer).setBigUint64(16, BigInt(sequence));
	return sha256(linePrefix, before, place, link, leaf);
}

/** SHA-256 of 0x07, the digest so far, and the statement of a deleted day. */
export function runningPast(before: Bytes, expired: string): Bytes {
	return sha256(expiredPrefix, before, utf8(expired));
}

export interface ExportRequest {
	readonly id: string;
	readonly filter: RecordFilter;
	readonly checkpoint: Checkpoint;
	readonly source: RecordSource;
	readonly signer: AuditSigner;
	/** Whether a chain has begun: the checkpoint has not those that did so after it. */
	readonly hasBegun: (chain: string) => Promise<boolean>;
	/** Statements of the days whose records were deleted (src/audit/expired.ts). */
	readonly expired: () => AsyncIterable<string>;
}

/** A record in its place of an export. */
export interface ExportRow {
	readonly n: number;
	readonly found: SourcedRecord;
	readonly encoded: EncodedRecord;
	readonly running: Bytes;
}

/** How far an export has got: what its signatures are of. */
export class ExportProgress {
	#count = 0;
	#running: Bytes;

	constructor(header: string) {
		this.#running = runningStart(header);
	}

	get count(): number {
		return this.#count;
	}

	row(found: SourcedRecord): ExportRow {
		const encoded = canonicalRecord(found.record);
		this.#running = runningNext(this.#running, found, leafOf(encoded));
		this.#count++;
		return { n: this.#count, found, encoded, running: this.#running };
	}

	pass(expired: string): void {
		this.#running = runningPast(this.#running, expired);
	}

	seal(id: string): ExportSeal {
		return { export: id, count: this.#count, running: toBase64(this.#running) };
	}
}

/** What is signed of the log when an export begins, as text. */
export async function beginExport(request: ExportRequest): Promise<string> {
	const { id, filter, checkpoint, signer } = request;
	const signed = await signer.sign("edgesign-audit-checkpoint+jwt", checkpoint);
	const header: ExportHeader = {
		export: { format: 1, id, filter: showFilter(filter), checkpoint: signed },
	};
	return JSON.stringify(header);
}

/**
 * The records of an export, a bounded piece at a time. What it is of is settled when it begins: the
 * records up to the heads of the checkpoint, whatever is appended or moves on meanwhile.
 */
export async function* exportedRows(
	{ filter, checkpoint, source, hasBegun }: ExportRequest,
	progress: ExportProgress,
): AsyncGenerator<readonly ExportRow[]> {
	const lastOf = lastNumbers(checkpoint);
	let others = 0;
	const belongs = ({ chain, sequence }: SourcedRecord) => sequence <= (lastOf.get(chain) ?? 0);
	for (let before: string | null = null; ; ) {
		const limit = limits.auditExportPage;
		const { records, reached } = await source.read({ ...filter, before, limit });
		for (const { chain } of records) {
			if (lastOf.has(chain)) continue;
			if (++others > limits.auditExportChains) throw new Error("too many chains that nobody knows");
			// One that began later is not of this export. One of which nobody knows is, for whoever verifies it to find.
			lastOf.set(chain, (await hasBegun(chain)) ? 0 : Number.POSITIVE_INFINITY);
		}
		yield records.filter(belongs).map((found) => progress.row(found));
		if (reached === null) return;
		before = reached;
	}
}

/** The export as lines of JSON, a piece of whole lines at a time. */
export async function* writeExport(request: ExportRequest): AsyncGenerator<string> {
	const { id, signer } = request;
	const first = await beginExport(request);
	yield `${first}\n`;
	const progress = new ExportProgress(first);
	let sealed = 0;
	for await (const rows of exportedRows(request, progress)) {
		const lines = rows.map((row) => JSON.stringify(lineOf(row)));
		if (progress.count - sealed >= limits.auditSealRecords) {
			const seal = await signer.sign("edgesign-audit-seal+jwt", progress.seal(id));
			lines.push(JSON.stringify({ seal }));
			sealed = progress.count;
		}
		if (lines.length > 0) yield `${lines.join("\n")}\n`;
	}
	// The last: a day that is deleted while this runs is told, whether its records came before or not.
	for await (const expired of request.expired()) {
		progress.pass(expired);
		yield `${JSON.stringify({ expired })}\n`;
	}
	const end = await signer.sign("edgesign-audit-export+jwt", progress.seal(id));
	yield `${JSON.stringify({ end })}\n`;
}

/** A record's line, whose text is that of this as JSON and no other. */
export function lineOf({ n, found, encoded: { head, item }, running }: ExportRow): ExportedRecord {
	const canonical = [toBase64(head), toBase64(item)] as const;
	return { n, record: showRecord(found), canonical, running: toBase64(running) };
}

/** Up to which number each chain is of the export: what came to one later is not. */
function lastNumbers({ chains, ended, unknown = [] }: Checkpoint): Map<string, number> {
	const lastOf = new Map(chains.map(({ id, sequence }) => [id, sequence]));
	for (const id of [...ended, ...unknown]) lastOf.set(id, Number.POSITIVE_INFINITY);
	return lastOf;
}

import { sha256 } from "@noble/hashes/sha2.js";
import { concat, toBase64, utf8 } from "../lib/bytes.ts";
import { uuidBytes } from "../lib/uuid.ts";
import { limits } from "../limits.ts";
import { leafOf } from "./chain.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { canonicalRecord, type EncodedRecord } from "./record.ts";
import { showFilter, showRecord } from "./shown.ts";
import type { AuditSigner } from "./signer.ts";
import type { RecordFilter, RecordSource, SourcedRecord } from "./source.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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

const linePrefix = Uint8Array.of(0x05);
const startPrefix = Uint8Array.of(0x06);

/** Before the first record: SHA-256 of 0x06 and the first line without its end. */
export function runningStart(header: string): Bytes {
	return sha256(concat(startPrefix, utf8(header))) as Bytes; // never over shared memory
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
	const hash = sha256.create();
	for (const part of [linePrefix, before, place, link, leaf]) hash.update(part);
	return hash.digest() as Bytes; // never over shared memory
}

export interface ExportRequest {
	readonly id: string;
	readonly filter: RecordFilter;
	readonly checkpoint: Checkpoint;
	readonly source: RecordSource;
	readonly signer: AuditSigner;
}

/**
 * The export as text, a piece of whole lines at a time. What it is of is settled when it begins: the
 * records up to the heads of the checkpoint, whatever is appended or moves on meanwhile.
 */
export async function* writeExport(request: ExportRequest): AsyncGenerator<string> {
	const { id, filter, checkpoint, source, signer } = request;
	const signed = await signer.sign("edgesign-audit-checkpoint+jwt", checkpoint);
	const header: ExportHeader = {
		export: { format: 1, id, filter: showFilter(filter), checkpoint: signed },
	};
	const first = JSON.stringify(header);
	yield `${first}\n`;
	const belongs = withinHeads(checkpoint);
	let running = runningStart(first);
	let count = 0;
	let sealed = 0;
	for (let before: string | null = null; ; ) {
		const limit = limits.auditExportPage;
		const { records, reached } = await source.read({ ...filter, before, limit });
		const lines: string[] = [];
		for (const found of records.filter(belongs)) {
			const encoded = canonicalRecord(found.record);
			running = runningNext(running, found, leafOf(encoded));
			count++;
			lines.push(JSON.stringify(lineOf(count, found, encoded, running)));
		}
		if (count - sealed >= limits.auditSealRecords) {
			const seal: ExportSeal = { export: id, count, running: toBase64(running) };
			lines.push(JSON.stringify({ seal: await signer.sign("edgesign-audit-seal+jwt", seal) }));
			sealed = count;
		}
		if (lines.length > 0) yield `${lines.join("\n")}\n`;
		if (reached === null) break;
		before = reached;
	}
	const end: ExportSeal = { export: id, count, running: toBase64(running) };
	yield `${JSON.stringify({ end: await signer.sign("edgesign-audit-export+jwt", end) })}\n`;
}

/** A record's line, whose text is that of this as JSON and no other. */
export function lineOf(
	n: number,
	found: SourcedRecord,
	{ head, item }: EncodedRecord,
	running: Bytes,
): ExportedRecord {
	const canonical = [toBase64(head), toBase64(item)] as const;
	return { n, record: showRecord(found), canonical, running: toBase64(running) };
}

/** Chains that began later are not of this export, nor is what came to a chain later. */
function withinHeads({ chains, ended }: Checkpoint): (found: SourcedRecord) => boolean {
	const lastOf = new Map(chains.map(({ id, sequence }) => [id, sequence]));
	for (const id of ended) lastOf.set(id, Number.POSITIVE_INFINITY);
	return ({ chain, sequence }) => sequence <= (lastOf.get(chain) ?? 0);
}

import { DatabaseUnavailable } from "../db/client.ts";
import type { Bytes } from "../lib/bytes.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { within } from "../lib/within.ts";
import * as limits from "../limits.ts";
import { describeError } from "../observe/log.ts";
import type { ExpiredDay } from "./export.ts";
import type { ParquetEncoder } from "./export-parquet.ts";
import {
	AuditUnreadable,
	type RecordFilter,
	type RecordQuery,
	type RecordSlice,
	type RecordSource,
} from "./source.ts";

/** What leads from a record to the manifest of its day, which was signed when the day was archived. */
export interface ArchiveProof {
	/** The record's leaf, link and place as the archive has them. */
	readonly leaf: Bytes;
	readonly link: Bytes;
	readonly chain: string;
	readonly sequence: number;
	/** The JWS. */
	readonly manifest: string;
	/** Of the record among those of the day, from 0. */
	readonly index: number;
	/** How many those are. */
	readonly records: number;
	/** The path of RFC 6962 section 2.1.1. */
	readonly hashes: readonly Bytes[];
}

/** Deleted days, the newest first. */
export interface ExpiredPage {
	readonly days: readonly Omit<ExpiredDay, "export">[];
	/** The days before this one are on the next page; null when there are no more. */
	readonly before: string | null;
}

/** The archive as one request asks it. */
export interface ColdArchive extends RecordSource, ParquetEncoder {
	/** null for a record that is not archived. */
	prove(tenant: string, id: string): Promise<ArchiveProof | null>;
	/** Days that the filter touches; null for the newest. */
	expired(filter: RecordFilter, before: string | null): Promise<ExpiredPage>;
}

/** One that is held until it is closed. */
export interface OpenCold extends ColdArchive {
	close(): void;
}

export interface ColdFailure {
	/** An outage, of the archive or of the database; or a fault of ours, which no repetition mends. */
	readonly kind: "unreadable" | "database" | "fault";
	readonly message: string;
}

/** The same over RPC, where an error would lose its class. */
export type ColdSessionRpc = Partial<Disposable> & {
	readonly [Call in keyof ColdArchive]: (
		...args: Parameters<ColdArchive[Call]>
	) => Promise<Result<Awaited<ReturnType<ColdArchive[Call]>>, ColdFailure>>;
};

/** What the worker that has the archive offers (src/archive.ts). */
export interface ColdLogRpc {
	/** A session is one invocation of that worker, however many calls it has: the platform counts these. */
	open(): Promise<ColdSessionRpc>;
}

/** On the archive's side: what went wrong, as a value. */
export async function told<T>(call: () => T | Promise<T>): Promise<Result<T, ColdFailure>> {
	try {
		return ok(await call());
	} catch (error) {
		if (error instanceof AuditUnreadable) {
			return err({ kind: "unreadable", message: error.message });
		}
		if (error instanceof DatabaseUnavailable) {
			return err({ kind: "database", message: error.message });
		}
		return err({ kind: "fault", message: describeError(error) });
	}
}

/** On the service's side: the same as an error again. */
function errorOf({ kind, message }: ColdFailure): Error {
	if (kind === "database") return new DatabaseUnavailable(message);
	if (kind === "unreadable") return new AuditUnreadable(message);
	return new Error(`the archive's worker: ${message}`);
}

/**
 * The archive for one request, which closes it. Throws AuditUnreadable or DatabaseUnavailable,
 * in the words of the worker that has it: a file that is not what was written is told from one that does
 * not answer. A fault of that worker is an Error, as if it were one here.
 */
export function openCold(binding: ColdLogRpc): OpenCold {
	let session: Promise<ColdSessionRpc> | null = null;

	async function ask<T>(
		call: (session: ColdSessionRpc) => Promise<Result<T, ColdFailure>>,
	): Promise<T> {
		session ??= binding.open();
		const answer = await answered(session.then(call));
		if (answer.ok) return answer.value;
		throw errorOf(answer.error);
	}

	return {
		read: (query: RecordQuery) => ask<RecordSlice>((opened) => opened.read(query)),
		prove: (tenant, id) => ask((opened) => opened.prove(tenant, id)),
		expired: (filter, before) => ask((opened) => opened.expired(filter, before)),
		group: (rows) => ask((opened) => opened.group(rows)),
		table: () => ask((opened) => opened.table()),
		tail: (texts, body) => ask((opened) => opened.tail(texts, body)),
		close() {
			session?.then(
				(opened) => opened[Symbol.dispose]?.(),
				() => {}, // it was told to who asked
			);
		},
	};
}

async function answered<T>(call: Promise<T>): Promise<T> {
	const late = () => {
		throw new Error(`no answer in ${limits.auditColdTimeoutMs} ms`);
	};
	try {
		return await within(call, limits.auditColdTimeoutMs, late);
	} catch (error) {
		const why = error instanceof Error ? error.message : "unknown";
		throw new AuditUnreadable(`the archive's worker: ${why}`);
	}
}

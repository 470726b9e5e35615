import type { Bytes } from "../lib/bytes.ts";
import * as limits from "../limits.ts";
import {
	beginExport,
	ExportProgress,
	type ExportRequest,
	type ExportRow,
	type ExportSeal,
	exportedRows,
} from "./export.ts";

/** What a row of an export as Parquet is made of. */
export type ParquetRow = Pick<ExportRow, "n" | "found" | "running">;

/** All of a Parquet file but its tail. */
export interface ParquetBody {
	readonly bytes: number;
	/** Where in it the footer begins. */
	readonly footer: number;
	/** Of these bytes, in hexadecimal. */
	readonly sha256: string;
}

/** Texts that an export as Parquet has beside its rows, all of them in its tail. */
export interface ExportTexts {
	/** The first line of the same export as NDJSON. */
	readonly header: string;
	/** Statements of deleted days. */
	readonly expired: readonly string[];
	readonly end: string;
}

/** Makes one Parquet file from its beginning to its end: each answers the next bytes of it. */
export interface ParquetEncoder {
	/** A row group with these rows, of which there is one at least. */
	group(rows: readonly ParquetRow[]): Promise<Bytes>;
	/** What comes behind the last row group; then the body is whole. */
	table(): Promise<{ readonly bytes: Bytes; readonly body: ParquetBody }>;
	tail(texts: ExportTexts, body: ParquetBody): Promise<Bytes>;
}

/** What is signed at the end of an export as Parquet. */
export interface ParquetSeal extends ExportSeal {
	readonly body: ParquetBody;
}

/**
 * The export as a Parquet file, a row group at a time. Its end signs the running digest and the bytes of
 * the body; the tail has nothing that a reader could not write anew from the texts in it.
 */
export async function* writeParquetExport(
	request: ExportRequest,
	encoder: ParquetEncoder,
): AsyncGenerator<Bytes> {
	const { id, signer } = request;
	const header = await beginExport(request);
	const progress = new ExportProgress(header);
	const size = limits.auditExportGroupRecords;
	const waiting: ExportRow[] = [];
	for await (const rows of exportedRows(request, progress)) {
		waiting.push(...rows);
		while (waiting.length >= size) yield encoder.group(encodable(waiting.splice(0, size)));
	}
	if (waiting.length > 0) yield encoder.group(encodable(waiting));
	const expired: string[] = [];
	for await (const day of request.expired()) {
		progress.pass(day);
		expired.push(day);
	}
	const { bytes, body } = await encoder.table();
	yield bytes;
	const said: ParquetSeal = { ...progress.seal(id), body };
	const end = await signer.sign("edgesign-audit-export+jwt", said);
	yield encoder.tail({ header, expired, end }, body);
}

/** Without what can be made of the rest: rows go to another worker. */
function encodable(rows: readonly ExportRow[]) {
	return rows.map(({ n, found, running }) => ({ n, found, running }));
}

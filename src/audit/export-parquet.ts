import type { KeyValue } from "hyparquet";
import { limits } from "../limits.ts";
import {
	beginExport,
	ExportProgress,
	type ExportRequest,
	type ExportRow,
	type ExportSeal,
	exportedRows,
} from "./export.ts";
import { type Column, digest, recordColumns, required } from "./parquet.ts";
import { type ParquetBody, ParquetStream, tailOf } from "./parquet-stream.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What is signed at the end of an export as Parquet. */
export interface ParquetSeal extends ExportSeal {
	readonly body: ParquetBody;
}

/** Texts that the file has beside its rows, all of them in its tail. */
export interface ExportTexts {
	/** The first line of the same export as NDJSON. */
	readonly header: string;
	/** Statements of deleted days. */
	readonly expired: readonly string[];
	readonly end: string;
}

/** Each record in its place: what a line of an export as NDJSON says. */
export const exportColumns: readonly Column<ExportRow>[] = [
	{ element: { name: "n", type: "INT64", ...required }, read: ({ n }) => BigInt(n) },
	...recordColumns.map(
		({ read, ...column }): Column<ExportRow> => ({ ...column, read: ({ found }) => read(found) }),
	),
	{
		element: { name: "running", ...digest, ...required },
		read: ({ running }) => running,
		isRandom: true,
	},
];

/**
 * The export as a Parquet file, a row group at a time. Its end signs the running digest and the bytes of
 * the body; the tail has nothing that a reader could not write anew from the texts in it.
 */
export async function* writeParquetExport(request: ExportRequest): AsyncGenerator<Bytes> {
	const { id, signer } = request;
	const header = await beginExport(request);
	const progress = new ExportProgress(header);
	const stream = await ParquetStream.open(exportColumns);
	const size = limits.auditExportGroupRecords;
	const waiting: ExportRow[] = [];
	for await (const rows of exportedRows(request, progress)) {
		waiting.push(...rows);
		while (waiting.length >= size) yield stream.group(waiting.splice(0, size));
	}
	if (waiting.length > 0) yield stream.group(waiting);
	const expired: string[] = [];
	for await (const day of request.expired()) {
		progress.pass(day);
		expired.push(day);
	}
	const body = yield* stream.table();
	const said: ParquetSeal = { ...progress.seal(id), body };
	const end = await signer.sign("edgesign-audit-export+jwt", said);
	yield parquetTail({ header, expired, end }, body);
}

const names = { header: "edgesign.export", expired: "edgesign.expired", end: "edgesign.end" };

/** The bytes behind the body, which the texts and its length alone decide. */
export function parquetTail(
	{ header, expired, end }: ExportTexts,
	body: Pick<ParquetBody, "bytes" | "footer">,
): Promise<Bytes> {
	const texts = [
		{ key: names.header, value: header },
		{ key: names.expired, value: JSON.stringify(expired) },
		{ key: names.end, value: end },
	];
	return tailOf(exportColumns, texts, body);
}

/** The texts of a file; null where it has not all of them. */
export function textsOf(found: readonly KeyValue[]): ExportTexts | null {
	const [header, expired, end] = [names.header, names.expired, names.end].map(
		(name) => found.find(({ key }) => key === name)?.value,
	);
	const days = expired === undefined ? null : listIn(expired);
	return header === undefined || end === undefined || !days ? null : { header, expired: days, end };
}

function listIn(text: string): string[] | null {
	try {
		const list: unknown = JSON.parse(text);
		return Array.isArray(list) && list.every((one) => typeof one === "string") ? list : null;
	} catch {
		return null;
	}
}

import {
	type AsyncBuffer,
	type FileMetaData,
	type ParquetParsers,
	parquetMetadataAsync,
	parquetReadObjects,
	type SchemaElement,
} from "hyparquet";
import type { Bytes } from "../lib/bytes.ts";
import { uuidBytes, uuidText } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import { numberOf, timeOf } from "./record.ts";
import type { SourcedRecord } from "./source.ts";

/** null for none. */
type Value = string | number | bigint | Bytes | null;

/** A column of a file. */
export interface Column<Row> {
	readonly element: SchemaElement;
	readonly read: (row: Row) => Value;
	/** What is different in every row gains nothing by being compressed. */
	readonly isRandom?: boolean;
}

export const required = { repetition_type: "REQUIRED" } as const;
const optional = { repetition_type: "OPTIONAL" } as const;
const text = { type: "BYTE_ARRAY", converted_type: "UTF8" } as const;
const uuid = {
	type: "FIXED_LEN_BYTE_ARRAY",
	type_length: 16,
	logical_type: { type: "UUID" },
} as const;
export const digest = { type: "FIXED_LEN_BYTE_ARRAY", type_length: 32 } as const;
const int32 = { type: "INT32" } as const;
/** Twice: readers of before logical types know the first, and some take that for a time of no zone. */
const instant = {
	type: "INT64",
	converted_type: "TIMESTAMP_MILLIS",
	logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MILLIS" },
} as const;

/** Of a record, by the names that audit_events has. */
export const recordColumns: readonly Column<SourcedRecord>[] = [
	{ element: { name: "tenant_id", ...text, ...required }, read: ({ record }) => record.tenant },
	{
		element: { name: "at", ...instant, ...required },
		read: ({ record }) => BigInt(timeOf(record)),
	},
	{ element: { name: "id", ...uuid, ...required }, read: ({ record }) => record.id },
	{ element: { name: "request_id", ...uuid, ...required }, read: ({ record }) => record.requestId },
	{ element: { name: "token_id", ...uuid, ...optional }, read: ({ record }) => record.tokenId },
	{ element: { name: "action", ...text, ...required }, read: ({ record }) => record.action },
	{ element: { name: "target_id", ...uuid, ...optional }, read: ({ record }) => record.target.id },
	{
		element: { name: "target_name", ...text, ...required },
		read: ({ record }) => record.target.name,
	},
	{
		element: { name: "version", ...int32, ...required },
		read: ({ record }) => record.target.version,
	},
	{
		element: { name: "algorithm", ...text, ...required },
		read: ({ record }) => record.target.algorithm,
	},
	{ element: { name: "address", ...text, ...required }, read: ({ record }) => record.address },
	{ element: { name: "input_kind", ...text, ...optional }, read: ({ record }) => record.inputKind },
	{
		element: { name: "input", ...digest, ...optional },
		read: ({ record }) => record.input,
		isRandom: true,
	},
	{
		element: { name: "signature", ...digest, ...optional },
		read: ({ record }) => record.signature,
		isRandom: true,
	},
	{ element: { name: "cost", ...int32, ...required }, read: ({ record }) => record.cost },
	{ element: { name: "outcome", ...text, ...required }, read: ({ record }) => record.outcome },
	{ element: { name: "chain", ...uuid, ...required }, read: ({ chain }) => chain },
	{
		element: { name: "sequence", type: "INT64", ...required },
		read: ({ sequence }) => BigInt(sequence),
	},
	{ element: { name: "link", ...digest, ...required }, read: ({ link }) => link, isRandom: true },
];

/** As the libraries want a table with these columns. */
export function schemaOf<Row>(columns: readonly Column<Row>[]): SchemaElement[] {
	const root = { name: "audit_events", num_children: columns.length };
	return [root, ...columns.map(({ element }) => element)];
}

/** Rows of a table, column by column, as the libraries write them. */
export function columnData<Row>(columns: readonly Column<Row>[], rows: readonly Row[]) {
	return columns.map(({ element, read, isRandom }) => ({
		name: element.name,
		data: rows.map((row) => written(element, read(row))),
		statistics: isRandom !== true,
		offsetIndex: false,
		...(isRandom && { codec: "UNCOMPRESSED" as const }),
	}));
}

/** As a column takes it. The library's own way from the text of a UUID takes several times as long. */
function written({ logical_type }: SchemaElement, value: Value) {
	if (value === null) return undefined;
	return logical_type === uuid.logical_type ? uuidBytes(String(value)) : value;
}

/** What is the same for all files: minimum and maximum are whole, and by whom it was written. */
export const writerOptions = {
	statisticsTruncateLength: Number.POSITIVE_INFINITY,
	createdBy: "edgesign",
};

/** U+FEFF at the beginning of a text is part of it, which the library's own decoder takes away. */
const textDecoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/** Of values and of statistics: the forms that records have. */
const parsers: Partial<ParquetParsers> = {
	stringFromBytes: (bytes: Uint8Array | undefined) => bytes && textDecoder.decode(bytes),
	timestampFromMilliseconds: (milliseconds: bigint) => Number(milliseconds),
	uuidFromBytes: (bytes: Uint8Array | undefined) => bytes && uuidText(bytes),
};

/** A file, and what stands at its end. */
export interface OpenParquet {
	readonly file: AsyncBuffer;
	readonly metadata: FileMetaData;
}

export async function openParquet(file: AsyncBuffer): Promise<OpenParquet> {
	const options = { initialFetchSize: limits.auditArchiveTailBytes, parsers };
	return { file, metadata: await parquetMetadataAsync(file, options) };
}

export function inMemory(bytes: ArrayBuffer): AsyncBuffer {
	const slice = (from: number, to?: number) => bytes.slice(from, to);
	return { byteLength: bytes.byteLength, slice };
}

/** What a column has is between these, both included, in the order of their UTF-8. */
export interface Range {
	readonly min: string;
	readonly max: string;
}

/** Rows that stand together, from one to before another, and what is known of their columns of text. */
export interface RowGroup {
	readonly from: number;
	readonly to: number;
	readonly ranges: ReadonlyMap<string, Range>;
}

export function rowGroups({ metadata }: OpenParquet): RowGroup[] {
	let from = 0;
	return metadata.row_groups.map((group) => {
		const ranges = new Map<string, Range>();
		for (const { meta_data: column } of group.columns) {
			const { min_value: min, max_value: max } = column?.statistics ?? {};
			const name = column?.path_in_schema[0];
			if (name === undefined || typeof min !== "string" || typeof max !== "string") continue;
			ranges.set(name, { min, max });
		}
		const to = from + Number(group.num_rows);
		const found = { from, to, ranges };
		from = to;
		return found;
	});
}

/** Rows of some columns, as the file has them. */
export type ColumnRow = Readonly<Record<string, unknown>>;

/** Rows of a file from one to before another, with these columns or all of them. */
export async function readRows(
	{ file, metadata }: OpenParquet,
	rowStart: number,
	rowEnd: number,
	names?: readonly string[],
): Promise<ColumnRow[]> {
	const some = names && { columns: [...names] };
	return parquetReadObjects({ file, metadata, rowStart, rowEnd, parsers, ...some });
}

/** Whole records of a file. Throws for a file that is none of ours. */
export async function readRecords(
	parquet: OpenParquet,
	rowStart = 0,
	rowEnd = Number(parquet.metadata.num_rows),
): Promise<SourcedRecord[]> {
	return (await readRows(parquet, rowStart, rowEnd)).map(fromColumnRow);
}

export function fromColumnRow(row: ColumnRow): SourcedRecord {
	const id = textIn(row, "id");
	const inputKind = textOrNull(row, "input_kind");
	if (inputKind !== null && inputKind !== "message" && inputKind !== "digest")
		throw odd("input_kind");
	return {
		record: {
			id,
			requestId: textIn(row, "request_id"),
			tenant: textIn(row, "tenant_id"),
			tokenId: textOrNull(row, "token_id"),
			action: textIn(row, "action"),
			target: {
				id: textOrNull(row, "target_id"),
				name: textIn(row, "target_name"),
				version: Number(row.version),
				algorithm: textIn(row, "algorithm"),
			},
			address: textIn(row, "address"),
			number: numberOf(id),
			inputKind,
			input: bytesOrNull(row, "input"),
			signature: bytesOrNull(row, "signature"),
			cost: Number(row.cost),
			outcome: textIn(row, "outcome"),
		},
		chain: textIn(row, "chain"),
		sequence: Number(row.sequence),
		link: bytesOrNull(row, "link") ?? new Uint8Array(),
	};
}

export function textOrNull(row: ColumnRow, name: string): string | null {
	const value = row[name] ?? null;
	if (value !== null && typeof value !== "string") throw odd(name);
	return value;
}

function textIn(row: ColumnRow, name: string): string {
	const value = textOrNull(row, name);
	if (value === null) throw odd(name);
	return value;
}

/** A copy: what is read is a part of a whole column's memory. */
export function bytesOrNull(row: ColumnRow, name: string): Bytes | null {
	const value = row[name] ?? null;
	if (value !== null && !(value instanceof Uint8Array)) throw odd(name);
	return value === null ? null : new Uint8Array(value);
}

function odd(name: string): Error {
	return new Error(`a file of the archive has no ${name} of this kind`);
}

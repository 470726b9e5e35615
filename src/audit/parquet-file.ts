import type { RowGroup } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { type Bytes, equalConstantTime } from "../lib/bytes.ts";
import type { Pace } from "../lib/pace.ts";
import * as limits from "../limits.ts";
import {
	type Column,
	columnData,
	type OpenParquet,
	readRows,
	recordColumns,
	rowGroups,
	schemaOf,
	writerOptions,
} from "./parquet.ts";
import type { SourcedRecord } from "./source.ts";

/** The records as a file, a column of a row group at a time. What is done is counted in values. */
export async function encodeParquet(records: readonly SourcedRecord[], pace: Pace): Promise<Bytes> {
	const writer = new ByteWriter();
	const schema = schemaOf(recordColumns);
	const parquet = new ParquetWriter({ writer, schema, ...writerOptions });
	const groups: RowGroup[] = [];
	for (let from = 0; from < records.length; from += limits.auditArchiveGroupRecords) {
		const rows = records.slice(from, from + limits.auditArchiveGroupRecords);
		for (const column of recordColumns) {
			await parquet.write({ columnData: columnData([column], rows), rowGroupSize: rows.length });
			await pace(rows.length);
		}
		groups.push(joined(parquet.row_groups.splice(0), rows.length));
	}
	parquet.row_groups.push(...groups);
	parquet.num_rows = BigInt(records.length);
	await parquet.finish();
	return new Uint8Array(writer.getBytes());
}

/** Row groups of a column each, which stand behind each other, as the one that they are. */
function joined(columns: readonly RowGroup[], rows: number): RowGroup {
	const sum = (of: (group: RowGroup) => bigint) => columns.reduce((all, one) => all + of(one), 0n);
	return {
		columns: columns.flatMap((one) => one.columns),
		total_byte_size: sum((one) => one.total_byte_size),
		num_rows: BigInt(rows),
		total_compressed_size: sum((one) => one.total_compressed_size ?? 0n),
	};
}

/** Whether the file has these records, in this order, and no more: read again, every value of them. */
export async function hasRecords(
	parquet: OpenParquet,
	records: readonly SourcedRecord[],
	pace: Pace,
): Promise<boolean> {
	if (Number(parquet.metadata.num_rows) !== records.length) return false;
	const groups = rowGroups(parquet);
	if ((groups.at(-1)?.to ?? 0) !== records.length) return false;
	for (const { from, to } of groups) {
		const rows = records.slice(from, to);
		for (const column of recordColumns) {
			const { name } = column.element;
			const found = await readRows(parquet, from, to, [name]);
			if (
				!isSameColumn(
					column,
					rows,
					found.map((row) => row[name]),
				)
			)
				return false;
			await pace(rows.length);
		}
	}
	return true;
}

function isSameColumn(
	{ read }: Column<SourcedRecord>,
	records: readonly SourcedRecord[],
	values: readonly unknown[],
): boolean {
	return (
		values.length === records.length &&
		records.every((record, index) => isSame(read(record), values[index] ?? null))
	);
}

function isSame(a: unknown, b: unknown): boolean {
	if (a instanceof Uint8Array && b instanceof Uint8Array) {
		return equalConstantTime(a, b); // which costs no call for each byte
	}
	// Times are read as the number of their milliseconds.
	return typeof a === "bigint" && typeof b === "number" ? a === BigInt(b) : a === b;
}

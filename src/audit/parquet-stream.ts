import type { FileMetaData, KeyValue, RowGroup } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { writeMetadata } from "hyparquet-writer/src/metadata.js";
import { type Bytes, concat, toHex } from "../lib/bytes.ts";
import { beginSha256 } from "../lib/sha256.ts";
import type { ParquetBody } from "./export-parquet.ts";
import { type Column, columnData, schemaOf, writerOptions } from "./parquet.ts";

/**
 * A Parquet file that is written from its beginning to its end and never held. What grows is the table
 * of its row groups, which the format wants behind all of them: it is kept in the bytes that it will
 * have, some 2 KB for each.
 */
export class ParquetStream<Row> {
	readonly #columns: readonly Column<Row>[];
	readonly #writer = new ByteWriter();
	readonly #parquet: ParquetWriter;
	readonly #groups: Bytes[] = [];
	readonly #hash = beginSha256();
	#bytes = 0;
	#rows = 0;

	constructor(columns: readonly Column<Row>[]) {
		this.#columns = columns;
		const schema = schemaOf(columns);
		this.#parquet = new ParquetWriter({ writer: this.#writer, schema, ...writerOptions });
	}

	/** A row group with these rows, of which there is one at least. */
	group(rows: readonly Row[]): Bytes {
		const columns = columnData(this.#columns, rows);
		void this.#parquet.write({ columnData: columns, rowGroupSize: rows.length }); // done: it writes to memory
		this.#parquet.pendingIndexes.length = 0; // the columns have none
		for (const group of this.#parquet.row_groups.splice(0)) {
			this.#groups.push(footerOf(this.#columns, 0, [], group).group);
		}
		this.#rows += rows.length;
		return this.#counted(this.#written());
	}

	/** What comes behind the last row group; then the body is whole. */
	table(): { readonly bytes: Bytes; readonly body: ParquetBody } {
		const start = this.#counted(this.#written()); // the magic number, where there was no row group
		const footer = this.#bytes;
		const { head } = footerOf(this.#columns, this.#rows, []);
		const table = concat(head, listHeader(this.#groups.length), ...this.#groups);
		this.#counted(table);
		const body = { bytes: this.#bytes, footer, sha256: toHex(this.#hash.done()) };
		return { bytes: concat(start, table), body };
	}

	/** What the writer has, and no longer. */
	#written(): Bytes {
		const bytes = new Uint8Array(this.#writer.getBytes());
		this.#writer.index = 0;
		return bytes;
	}

	#counted(bytes: Bytes): Bytes {
		this.#hash.add(bytes);
		this.#bytes += bytes.length;
		return bytes;
	}
}

/** The last bytes of a file: texts by their names, the length of the footer, the magic number. */
export function tailOf<Row>(
	columns: readonly Column<Row>[],
	texts: readonly KeyValue[],
	{ bytes, footer }: Pick<ParquetBody, "bytes" | "footer">,
): Bytes {
	const { tail } = footerOf(columns, 0, texts);
	const length = new Uint8Array(4);
	new DataView(length.buffer).setUint32(0, bytes - footer + tail.length, true);
	return concat(tail, length, magic);
}

const magic = Uint8Array.of(0x50, 0x41, 0x52, 0x31); // PAR1

/**
 * The parts of a footer, which is `head | list of row groups | tail`: the library writes it in one
 * piece. A list of none and one of one are the same up to their header, a byte in both.
 */
function footerOf<Row>(
	columns: readonly Column<Row>[],
	rows: number,
	texts: readonly KeyValue[],
	group: RowGroup = { columns: [], total_byte_size: 0n, num_rows: 0n },
) {
	const written = (groups: RowGroup[]) => {
		const writer = new ByteWriter();
		const metadata: Omit<FileMetaData, "metadata_length"> = {
			version: 2,
			created_by: writerOptions.createdBy,
			schema: schemaOf(columns),
			num_rows: BigInt(rows),
			row_groups: groups,
			...(texts.length > 0 && { key_value_metadata: [...texts] }),
		};
		const all = { ...metadata, metadata_length: 0 };
		writeMetadata(writer, all, writerOptions.statisticsTruncateLength);
		return new Uint8Array(writer.getBytes()).subarray(0, -4); // without its length
	};
	const [none, one] = [written([]), written([group])];
	const at = none.findIndex((byte, index) => byte !== one[index]);
	const tail = none.slice(at + 1);
	return { head: none.slice(0, at), group: one.slice(at + 1, one.length - tail.length), tail };
}

/** Of a list of structs in Thrift's compact protocol. */
function listHeader(size: number): Bytes {
	const struct = 12;
	if (size < 15) return Uint8Array.of((size << 4) | struct);
	const bytes = [0xf0 | struct];
	for (let rest = size; ; rest >>>= 7) {
		if (rest < 0x80) return Uint8Array.of(...bytes, rest);
		bytes.push((rest & 0x7f) | 0x80);
	}
}

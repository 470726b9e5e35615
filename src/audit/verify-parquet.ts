import type { AsyncBuffer } from "hyparquet";
import { toHex } from "../lib/bytes.ts";
import { beginSha256 } from "../lib/sha256.ts";
import * as limits from "../limits.ts";
import { parquetTail, textsOf } from "./export-columns.ts";
import type { ParquetSeal } from "./export-parquet.ts";
import {
	bytesOrNull,
	type ColumnRow,
	fromColumnRow,
	type OpenParquet,
	openParquet,
	readRows,
	rowGroups,
} from "./parquet.ts";
import { timeOf } from "./record.ts";
import type { ExportVerifier } from "./verify.ts";

/**
 * Checks an export that is a Parquet file, a row group at a time: its rows as the lines of one that is
 * NDJSON, and then its bytes, so that no reader of any kind sees in it what the service did not write.
 * @param onProgress told how many rows were read, and how many there are
 */
export async function verifyParquet(
	file: AsyncBuffer,
	verifier: ExportVerifier,
	onProgress: (rows: number, all: number) => void = () => {},
): Promise<void> {
	const parquet = await openParquet(file).catch(() => null);
	const texts = parquet && textsOf(parquet.metadata.key_value_metadata ?? []);
	if (!texts) {
		verifier.find("unreadable", "this is no Parquet file of an export, or not a whole one", null);
		return;
	}
	await verifier.begin(texts.header);
	for (const { from, to } of rowGroups(parquet)) {
		// A row group is read as a whole, and a few bytes may stand for any number of rows.
		if (to - from > limits.auditExportGroupRecords) {
			verifier.find(
				"unreadable",
				`rows ${from + 1} to ${to} are more than an export has in a group`,
				null,
			);
			return;
		}
		await verifyGroup(parquet, from, to, verifier);
		onProgress(to, Number(parquet.metadata.num_rows));
	}
	for (const day of texts.expired) await verifier.expired(day);
	const end = (await verifier.end(texts.end)) as Partial<ParquetSeal> | null;
	if (end && !(await isBody(parquet, end.body))) {
		verifier.find("changed", "the file is not in every byte what the service wrote", null);
		return;
	}
	const tail = end?.body && parquetTail(texts, end.body);
	if (tail && !(await endsWith(file, tail))) {
		verifier.find("changed", "behind its rows the file has what the service did not write", null);
	}
}

async function verifyGroup(
	parquet: OpenParquet,
	from: number,
	to: number,
	verifier: ExportVerifier,
): Promise<void> {
	const rows = await readRows(parquet, from, to).catch(() => null);
	if (!rows) {
		verifier.find("unreadable", `rows ${from + 1} to ${to} can not be read`, null);
		return;
	}
	for (const [index, row] of rows.entries()) verifyRow(row, from + index + 1, verifier);
}

function verifyRow(row: ColumnRow, place: number, verifier: ExportVerifier): void {
	try {
		const found = fromColumnRow(row);
		const running = bytesOrNull(row, "running");
		if (!running || row.at !== timeOf(found.record)) throw new RangeError("no row of an export");
		verifier.row(Number(row.n), found, running, place);
	} catch {
		verifier.find("unreadable", "this row is no row of an export", place);
	}
}

/** Whether the file begins with the body that was signed. */
async function isBody({ file, metadata }: OpenParquet, body?: ParquetSeal["body"]) {
	if (!body || body.footer !== file.byteLength - 8 - metadata.metadata_length) return false;
	if (!(body.bytes <= file.byteLength)) return false;
	const hash = beginSha256();
	for (let at = 0; at < body.bytes; at += limits.auditVerifyBytes) {
		const end = Math.min(body.bytes, at + limits.auditVerifyBytes);
		hash.add(new Uint8Array(await file.slice(at, end)));
	}
	return toHex(hash.done()) === body.sha256;
}

async function endsWith(file: AsyncBuffer, tail: Uint8Array): Promise<boolean> {
	const from = Math.max(0, file.byteLength - tail.length);
	const found = new Uint8Array(await file.slice(from, file.byteLength));
	return found.length === tail.length && found.every((byte, at) => byte === tail[at]);
}

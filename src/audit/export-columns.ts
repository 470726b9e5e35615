import type { KeyValue } from "hyparquet";
import type { Bytes } from "../lib/bytes.ts";
import type { ExportTexts, ParquetBody, ParquetRow } from "./export-parquet.ts";
import { type Column, digest, recordColumns, required } from "./parquet.ts";
import { tailOf } from "./parquet-stream.ts";

/** Each record in its place: what a line of an export as NDJSON says. */
export const exportColumns: readonly Column<ParquetRow>[] = [
	{ element: { name: "n", type: "INT64", ...required }, read: ({ n }) => BigInt(n) },
	...recordColumns.map(
		({ read, ...column }): Column<ParquetRow> => ({ ...column, read: ({ found }) => read(found) }),
	),
	{
		element: { name: "running", ...digest, ...required },
		read: ({ running }) => running,
		isRandom: true,
	},
];

const names = { header: "edgesign.export", expired: "edgesign.expired", end: "edgesign.end" };

/** The bytes behind the body, which the texts and its length alone decide. */
export function parquetTail(
	{ header, expired, end }: ExportTexts,
	body: Pick<ParquetBody, "bytes" | "footer">,
): Bytes {
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

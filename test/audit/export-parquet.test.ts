import { beforeAll, describe, expect, it } from "vitest";
import { joinAppends } from "../../src/audit/block.ts";
import { ExportProgress, type ExportRow } from "../../src/audit/export.ts";
import { exportColumns, parquetTail, textsOf } from "../../src/audit/export-columns.ts";
import {
	bytesOrNull,
	fromColumnRow,
	openParquet,
	readRows,
	rowGroups,
} from "../../src/audit/parquet.ts";
import { ParquetStream } from "../../src/audit/parquet-stream.ts";
import { canonicalRecord } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import { ExportVerifier, type Verdict } from "../../src/audit/verify.ts";
import { verifyParquet } from "../../src/audit/verify-parquet.ts";
import type { Finding } from "../../src/audit/walk.ts";
import { type Bytes, concat } from "../../src/lib/bytes.ts";
import { call, newTenant, type Tenant } from "../support/tenant.ts";
import { drain, newAppend, objectAt, placeOfTests } from "./support.ts";

const parquetType = "application/vnd.apache.parquet";
let tenant: Tenant;
let keys: { kid: string; x: string }[];
let file: Bytes;

/** Some of its records are in Postgres and some in two objects. */
beforeAll(async () => {
	tenant = await newTenant();
	const here = placeOfTests(tenant.id);
	await append(here, 5);
	await append(`${tenant.id}/oc/0`, 4);
	await drain(here);
	await append(here, 6);
	keys = (await call("GET", "/.well-known/audit-jwks.json")).json.keys;
	file = await exported("?format=parquet");
});

async function append(place: string, count: number, each = 1): Promise<void> {
	for (let done = 0; done < count; done++) {
		await objectAt(place).append(joinAppends([newAppend(place, each)]), false);
	}
}

async function exported(query: string, accept?: string, of = tenant): Promise<Bytes> {
	const headers: Record<string, string> = accept === undefined ? {} : { Accept: accept };
	const answer = await of.call("GET", `/v1/audit/export${query}`, { headers });
	expect(answer.status, answer.text).toBe(200);
	expect(answer.headers.get("content-type")).toBe(parquetType);
	return new Uint8Array(answer.bytes);
}

function inMemory(bytes: Bytes) {
	return {
		byteLength: bytes.length,
		slice: (from: number, to?: number) => bytes.slice(from, to).buffer,
	};
}

async function verify(bytes: Bytes): Promise<Verdict> {
	const verifier = new ExportVerifier(await createStatementReader(keys));
	await verifyParquet(inMemory(bytes), verifier);
	return verifier.done();
}

/** What a file says: its rows, and its texts. */
async function read(bytes: Bytes) {
	const parquet = await openParquet(inMemory(bytes));
	const texts = textsOf(parquet.metadata.key_value_metadata ?? []);
	if (!texts) throw new Error("the file has not all its texts");
	const rows = (await readRows(parquet, 0, Number(parquet.metadata.num_rows))).map(
		(row): ExportRow => {
			const found = fromColumnRow(row);
			const running = bytesOrNull(row, "running") ?? new Uint8Array();
			return { n: Number(row.n), found, encoded: canonicalRecord(found.record), running };
		},
	);
	return { rows, texts, groups: rowGroups(parquet) };
}

/** The same file with other rows: as somebody would make it who can do everything but sign. */
async function rewritten(edit: (rows: ExportRow[]) => readonly ExportRow[]): Promise<Bytes> {
	const { rows, texts } = await read(file);
	const stream = new ParquetStream(exportColumns);
	const group = stream.group(edit(rows));
	const { bytes, body } = stream.table();
	return concat(group, bytes, parquetTail(texts, body));
}

/** Digests and numbers made anew. */
async function remade(edit: (rows: ExportRow[]) => readonly ExportRow[]): Promise<Bytes> {
	const { texts } = await read(file);
	return rewritten((rows) => {
		const progress = new ExportProgress(texts.header);
		return edit(rows).map(({ found }) => progress.row(found));
	});
}

function withOutcome(row: ExportRow, outcome: string): ExportRow {
	const record = { ...row.found.record, outcome };
	return { ...row, found: { ...row.found, record } };
}

const messages = (findings: readonly Finding[]) =>
	findings.map(({ message }) => message).join("\n");
const kindsOf = ({ findings }: Verdict) => [...new Set(findings.map(({ kind }) => kind))];

describe("an export as Parquet", () => {
	it("holds, with every record up to the checkpoint", async () => {
		const verdict = await verify(file);
		expect(verdict).toMatchObject({ records: 15, chains: 2, findings: [], isWhole: true });
	});

	it("has what one as NDJSON has", async () => {
		const lines = (await tenant.call("GET", "/v1/audit/export")).text.trimEnd().split("\n");
		const { rows } = await read(file);
		const told = lines.slice(1, -1).map((line) => JSON.parse(line).record.id);
		expect(rows.map(({ found }) => found.record.id)).toEqual(told);
	});

	it("says that its times are of UTC, in both ways of saying so", async () => {
		const { metadata } = await openParquet(inMemory(file));
		expect(metadata.schema.find(({ name }) => name === "at")).toMatchObject({
			converted_type: "TIMESTAMP_MILLIS",
			logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MILLIS" },
		});
	});

	it.each([
		`${parquetType};q=0.9`,
		`application/x-ndjson;q=0.5, ${parquetType}`,
		`application/x-ndjson; q=0, ${parquetType}; q=0.1, */*`,
	])("is made where the request accepts %s", async (accept) => {
		const bytes = await exported("?action=sign", accept);
		expect(await verify(bytes)).toMatchObject({ records: 15, findings: [], isWhole: false });
	});

	it.each([
		`${parquetType}, application/x-ndjson`,
		`${parquetType};q=0.5, application/x-ndjson`,
		`${parquetType};q=0`,
		"*/*",
	])("is not made where it accepts %s", async (accept) => {
		const answer = await tenant.call("GET", "/v1/audit/export?action=sign", {
			headers: { Accept: accept },
		});
		expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
	});

	it("holds with names of any characters, where the path of a refused request had them", async () => {
		const other = await newTenant();
		const token = await other.token("auditor");
		const names = ["\ufeffx", "\ufeff", "ＡＡ", "🚀 deploy"];
		for (const name of names) {
			const path = `/v1/keys/${encodeURIComponent(name)}/sign`;
			const answer = await other.call("POST", path, { token, json: { message: "aGk=" } });
			expect(answer.status, answer.text).toBe(403);
		}
		const bytes = await exported("?format=parquet", undefined, other);
		expect(await verify(bytes)).toMatchObject({ records: names.length, findings: [] });
		const told = (await read(bytes)).rows.map(({ found }) => found.record.target.name);
		expect(told).toEqual(names.toReversed());
	});

	it("of nothing holds too", async () => {
		const verdict = await verify(await exported("?format=parquet&action=warmCache"));
		expect(verdict).toMatchObject({ records: 0, findings: [], isWhole: false });
	});

	it("of many records has groups of a bounded size", async () => {
		const other = await newTenant();
		await append(placeOfTests(other.id), 3, 4000);
		const bytes = await exported("?format=parquet", undefined, other);
		expect(await verify(bytes)).toMatchObject({ records: 12_000, findings: [], isWhole: true });
		const sizes = (await read(bytes)).groups.map(({ from, to }) => to - from);
		expect(sizes).toEqual([4_096, 4_096, 3_808]);
	});
});

describe("the verifier names in a Parquet file", () => {
	it("nothing where it was written anew from the same rows", async () => {
		expect((await verify(await rewritten((rows) => rows))).findings).toEqual([]);
	});

	it("row groups of more rows than it writes, before it reads them", async () => {
		const bomb = await rewritten((rows) =>
			Array.from({ length: 5_000 }, () => rows[0] as ExportRow),
		);
		const { findings } = await verify(bomb);
		expect(messages(findings)).toContain("rows 1 to 5000 are more than an export has in a group");
	});

	it("a record that was changed", async () => {
		const changed = await rewritten((rows) =>
			rows.map((row) => (row.n === 7 ? withOutcome(row, "invalid") : row)),
		);
		const { findings } = await verify(changed);
		expect(findings[0]).toMatchObject({ kind: "changed", line: 7 });
		expect(findings[0]?.message).toMatch(/^record 7, /);
	});

	it("a record that is missing", async () => {
		const verdict = await verify(await rewritten((rows) => rows.filter(({ n }) => n !== 7)));
		expect(kindsOf(verdict).sort()).toEqual(["changed", "missing"]);
		expect(messages(verdict.findings)).toContain("record 7 of the export");
		const last = await verify(await rewritten((rows) => rows.slice(0, -1)));
		expect(messages(last.findings)).toContain("record 15 of the export");
	});

	it("a record that was added", async () => {
		const added = await rewritten((rows) => rows.toSpliced(9, 0, ...rows.slice(6, 7)));
		const { findings } = await verify(added);
		expect(findings[0]).toMatchObject({ kind: "added", line: 10 });
	});

	it("records that changed their places", async () => {
		const { findings } = await verify(
			await rewritten((rows) => [
				...rows.slice(0, 6),
				...rows.slice(6, 8).reverse(),
				...rows.slice(8),
			]),
		);
		expect(findings[0]).toMatchObject({ kind: "reordered" });
	});

	it("where digests were made anew, the record by its chain", async () => {
		const changed = await remade((rows) =>
			rows.map((row) => (row.n === 7 ? withOutcome(row, "invalid") : row)),
		);
		const { rows } = await read(file);
		const verdict = await verify(changed);
		expect(kindsOf(verdict)).toEqual(["changed"]);
		expect(messages(verdict.findings)).toContain(String(rows[6]?.found.record.id));
		const without = await verify(await remade((rows) => rows.filter(({ n }) => n !== 7)));
		expect(messages(without.findings)).toContain(
			`number ${rows[6]?.found.sequence} of the chain ${rows[6]?.found.chain}`,
		);
	});

	it.each([0, 4, 1000, 5000])("that it was cut off, at %s bytes", async (bytes) => {
		const verdict = await verify(file.slice(0, bytes));
		expect(kindsOf(verdict)).toEqual(["unreadable", "cut_off"]);
	});

	it("the end of another export", async () => {
		const again = await read(await exported("?format=parquet"));
		const { texts } = await read(file);
		const stream = new ParquetStream(exportColumns);
		const pieces = [stream.group((await read(file)).rows), stream.table().bytes];
		const body = { bytes: concat(...pieces).length, footer: pieces[0]?.length ?? 0 };
		const tail = parquetTail({ ...texts, end: again.texts.end }, body);
		expect(kindsOf(await verify(concat(...pieces, tail)))).toContain("forged");
	});

	it("every byte that is another one, wherever it is", async () => {
		const step = 97;
		for (let at = 0; at < file.length; at += step) {
			const changed = file.slice();
			changed[at] = (changed[at] ?? 0) ^ 0x01;
			const { findings } = await verify(changed);
			expect(findings, `byte ${at} of ${file.length}`).not.toEqual([]);
		}
	});
});

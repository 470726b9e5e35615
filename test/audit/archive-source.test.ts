import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { archiveSource } from "../../src/audit/archive-source.ts";
import { timeOf } from "../../src/audit/record.ts";
import {
	isWanted,
	newestFirst,
	type RecordQuery,
	type SourcedRecord,
	unfiltered,
} from "../../src/audit/source.ts";
import * as limits from "../../src/limits.ts";
import { ownerSql } from "../support/tenant.ts";
import {
	archiveAll,
	dropDays,
	fill,
	newDay,
	newTenantName,
	services,
	small,
	wrapBucket,
} from "./archive-support.ts";

const tenant = newTenantName();
const records: SourcedRecord[] = [];
/** Which objects of R2 were asked for, and how much of each. */
let asked: string[] = [];
const archive = wrapBucket(env.ARCHIVE, (run, key) => {
	asked.push(key);
	return run();
});
const source = archiveSource({ db: services.db, archive });

beforeAll(async () => {
	for (let day = 0; day < 3; day++)
		records.push(...(await fill({ tenant, day: await newDay(1987) }, 60)));
	const other = { tenant: newTenantName(), day: await newDay(1987) };
	await fill(other, 10);
	await archiveAll({ ...small, fileRecords: 16 });
	records.sort(newestFirst);
}, 60_000);
afterAll(dropDays);

const everythingOf: RecordQuery = {
	tenant,
	...unfiltered,
	before: null,
	limit: 1000,
};

/** All that a query finds, page by page. */
async function pagesOf(query: RecordQuery): Promise<SourcedRecord[]> {
	const found: SourcedRecord[] = [];
	for (let before: string | null = query.before, page = 0; page < 500; page++) {
		const slice = await source.read({ ...query, before });
		expect(slice.records.length).toBeLessThanOrEqual(query.limit);
		found.push(...slice.records);
		if (slice.reached === null) return found;
		if (before !== null) expect(slice.reached < before).toBe(true);
		before = slice.reached;
	}
	throw new Error("the pages have no end");
}

const at = (index: number) => timeOf(records[index]?.record ?? { id: "" });

describe("records that are archived", () => {
	it.each([1, 7, 16, 1000])(
		"are found each once, the newest first, in pages of %s",
		async (limit) => {
			expect(await pagesOf({ ...everythingOf, limit })).toEqual(records);
		},
	);

	const key = "01900000-0000-7000-8000-00000000000a";
	it.each<[string, () => Partial<RecordQuery>]>([
		["the key", () => ({ targetId: key })],
		["the key's name", () => ({ targetName: "schlüssel-1" })],
		["the token", () => ({ tokenId: "01900000-0000-7000-8000-000000000001" })],
		["the action", () => ({ action: "createKey" })],
		["a time", () => ({ from: at(100), to: at(20) })],
		["a time within a file", () => ({ from: at(34), to: at(31) })],
		["a key and a time over days", () => ({ targetId: key, from: at(150), to: at(3) })],
		["a cursor", () => ({ before: records[77]?.record.id ?? null })],
		["what nobody did", () => ({ action: "nothing" })],
		["a time that never was", () => ({ from: at(3), to: at(3) })],
		["a tenant that has none", () => ({ tenant: "nobody" })],
	])("are found by %s", async (_, fields) => {
		const query = { ...everythingOf, ...fields(), limit: 9 };
		const wanted = records.filter(
			({ record }) => record.tenant === query.tenant && isWanted(record, query),
		);
		expect(await pagesOf(query)).toEqual(wanted);
	});

	it("are looked for only in files that can have them", async () => {
		asked = [];
		await source.read({ ...everythingOf, from: at(35), to: at(32) });
		const files = new Set(asked.filter((key) => key.endsWith(".parquet")));
		expect(files.size).toBe(1);
		asked = [];
		const nobody = "01900000-0000-7000-8000-0000000000ff";
		expect((await source.read({ ...everythingOf, targetId: nobody })).records).toEqual([]);
		expect(asked.filter((key) => key.endsWith(".parquet"))).toEqual([]);
	});

	it("are never left out because a file is not there", async () => {
		const [file] = (await env.ARCHIVE.list({ prefix: `audit/${tenant}/` })).objects;
		const bytes = await (await env.ARCHIVE.get(file?.key ?? ""))?.arrayBuffer();
		await env.ARCHIVE.delete(file?.key ?? "");
		await expect(pagesOf(everythingOf)).rejects.toThrow("is not in the archive");
		await env.ARCHIVE.put(file?.key ?? "", bytes ?? "");
	});

	it("are not believed where a file is not the one that was written", async () => {
		const { objects } = await env.ARCHIVE.list({ prefix: `audit/${tenant}/` });
		const key = objects.find((object) => object.key.endsWith(".parquet"))?.key ?? "";
		const bytes = new Uint8Array((await (await env.ARCHIVE.get(key))?.arrayBuffer()) ?? []);
		await env.ARCHIVE.put(key, bytes.with(100, (bytes[100] ?? 0) ^ 1));
		await expect(pagesOf(everythingOf)).rejects.toThrow("is not what its manifest says");
		await env.ARCHIVE.put(key, bytes);
	});

	it("are not believed under a manifest that Postgres does not know", async () => {
		const { objects } = await env.ARCHIVE.list({ prefix: `audit/${tenant}/` });
		const key = objects.find((object) => object.key.endsWith(".jws"))?.key ?? "";
		const jws = (await (await env.ARCHIVE.get(key))?.text()) ?? "";
		const payload = atob(jws.split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/") ?? "");
		const forged = btoa(payload.replace('"records":60', '"records":59'));
		await env.ARCHIVE.put(key, `e30.${forged.replace(/=+$/, "")}.e30`);
		await expect(pagesOf(everythingOf)).rejects.toThrow("is not the manifest that was written");
		await env.ARCHIVE.put(key, jws);
	});
});

describe("archived records of one row group", () => {
	const names = ["ＡＡ", "🚀 deploy", "\ufeffx", "\uffee", "🚀"];
	const of = { tenant: newTenantName(), day: "" };
	const found: SourcedRecord[] = [];
	beforeAll(async () => {
		of.day = await newDay(1987);
		const filled = await fill(of, names.length);
		// Of every other place of a chain: the archiver would see that they were changed.
		const sql =
			"update audit_events set target_name = $3, sequence = 2 * sequence where tenant_id = $1 and id = $2";
		for (const [i, { record }] of filled.entries()) {
			await ownerSql().query(sql, [of.tenant, record.id, names[i]]);
		}
		await archiveAll();
		found.push(...(await pagesOf({ ...everythingOf, tenant: of.tenant })));
	}, 60_000);

	it("have their names, whichever characters they begin with", () => {
		expect(found.map(({ record }) => record.target.name)).toEqual(names.toReversed());
	});

	it.each([...names.entries()])("are found by name (%s: %j)", async (place, targetName) => {
		const wanted = found.at(-1 - place);
		expect(wanted?.record.target.name).toBe(targetName);
		expect(await pagesOf({ ...everythingOf, tenant: of.tenant, targetName })).toEqual([wanted]);
	});

	it.each(["", "a", "🚀🚀", "\ufeff", "\u{10ffff}"])(
		"are not found by another name (%j)",
		async (targetName) => {
			expect(await pagesOf({ ...everythingOf, tenant: of.tenant, targetName })).toEqual([]);
		},
	);
});

it("a slice is bounded, and the next one goes on", async () => {
	expect(limits.auditArchiveFilesPerRead).toBeGreaterThan(12);
	asked = [];
	await source.read({ ...everythingOf, limit: 5 });
	expect(new Set(asked.filter((key) => key.endsWith(".parquet"))).size).toBe(1);
});

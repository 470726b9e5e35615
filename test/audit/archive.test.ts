import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it } from "vitest";
import { archiveSlice } from "../../src/audit/archive.ts";
import { leafOf } from "../../src/audit/chain.ts";
import { MerkleRoot } from "../../src/audit/merkle.ts";
import { encodeAppend, firstId, splitAppend } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import type { TenantDay } from "../../src/db/audit-archives.ts";
import { toHex } from "../../src/lib/bytes.ts";
import { ownerSql } from "../support/tenant.ts";
import {
	archiveAll,
	archived,
	dropDays,
	everything,
	failingAt,
	fill,
	hotDays,
	isThere,
	keysUnder,
	manifestOf,
	newDay,
	newTenantName,
	recordsIn,
	services,
	small,
	stateOf,
	wrapBucket,
} from "./archive-support.ts";

afterEach(dropDays);

async function newTenantDay(day?: string): Promise<TenantDay> {
	return { tenant: newTenantName(), day: day ?? (await newDay()) };
}

async function countIn(tenant: string): Promise<number> {
	const sql = "select count(*)::int as n from audit_events where tenant_id = $1";
	return (await ownerSql().query(sql, [tenant]))[0]?.n;
}

describe("the archive of a day", () => {
	it("has each record of each tenant once, and Postgres has none of them any more", async () => {
		const day = await newDay();
		const [first, second] = [await newTenantDay(day), await newTenantDay(day)];
		const records = [await fill(first, 45), await fill(second, 3)];
		await archiveAll();
		expect(await isThere(day)).toBe(false);
		for (const [index, of] of [first, second].entries()) {
			expect(await archived(of)).toEqual(records[index]);
			expect(await countIn(of.tenant)).toBe(0);
			expect(await stateOf(of)).toMatchObject({
				state: "archived",
				records: records[index]?.length,
			});
		}
	});

	it("has files of bounded size, the tenant first in their names", async () => {
		const of = await newTenantDay();
		await fill(of, 45);
		await archiveAll();
		const prefix = `audit/${of.tenant}/${of.day}/0/`;
		const names = Array.from({ length: 6 }, (_, part) => `${prefix}00000${part}.parquet`);
		expect(await keysUnder(`audit/${of.tenant}/`)).toEqual([...names, `${prefix}manifest.jws`]);
		const { files } = await manifestOf(of);
		expect(files.map(({ key }) => key)).toEqual(names);
		expect(files.map(({ records }) => records)).toEqual([8, 8, 8, 8, 8, 5]);
	});

	it("has a manifest of each file, each chain and the root over all leaves, signed", async () => {
		const of = await newTenantDay();
		const records = await fill(of, 45);
		await archiveAll();
		const manifest = await manifestOf(of);
		for (const file of manifest.files) {
			const bytes = await (await env.ARCHIVE.get(file.key))?.arrayBuffer();
			const digest = await crypto.subtle.digest("SHA-256", bytes ?? new ArrayBuffer());
			expect(file.sha256).toBe(toHex(new Uint8Array(digest)));
			const inFile = await recordsIn(file.key);
			expect(file.first.id).toBe(inFile.at(0)?.record.id);
			expect(file.last.id).toBe(inFile.at(-1)?.record.id);
		}
		const tree = new MerkleRoot();
		for (const { record } of records) {
			const head = { ...record, id: firstId(record.id) };
			for (const encoded of splitAppend(encodeAppend(head, [record]))) tree.add(leafOf(encoded));
		}
		expect(manifest.root).toBe(toHex(tree.root()));
		for (const span of manifest.chains) {
			const chain = records.filter(({ chain }) => chain === span.chain);
			const ends = [chain.at(0), chain.at(-1)].map((end) => ({
				sequence: end?.sequence,
				link: toHex(end?.link ?? new Uint8Array()),
			}));
			expect([span.first, span.last]).toEqual(ends);
			expect(span.records).toBe(chain.length);
		}
		expect(manifest.chains).toHaveLength(2);
		const jws = await (
			await env.ARCHIVE.get(`audit/${of.tenant}/${of.day}/0/manifest.jws`)
		)?.text();
		const read = await createStatementReader(await services.auditSigner.publicKeys());
		expect(await read("edgesign-audit-manifest+jwt", jws ?? "")).toEqual(manifest);
	});

	it("is made of what is old enough only", async () => {
		const of = await newTenantDay();
		await fill(of, 5);
		const clock = () => Date.parse(of.day) + (hotDays + 1) * 24 * 3600 * 1000 - 1;
		expect(await archiveSlice({ ...everything, clock }, hotDays, small)).toBe(0);
		expect(await countIn(of.tenant)).toBe(5);
		expect(await archiveSlice({ ...everything, clock: () => clock() + 1 }, hotDays, small)).toBe(5);
	});

	it("goes on in the next run where the last one had done its part", async () => {
		const of = await newTenantDay();
		const records = await fill(of, 45);
		const counts: number[] = [];
		for (let run = 0; run < 8; run++) {
			const bounds = { ...small, filesPerRun: 2 };
			counts.push(await archiveSlice(services, hotDays, bounds));
		}
		expect(counts).toEqual([16, 16, 13, 0, 0, 0, 0, 0]);
		expect(await archived(of)).toEqual(records);
		expect(await isThere(of.day)).toBe(false);
	});
});

describe("an archiver that is stopped", () => {
	it.each([
		["before", false],
		["after", true],
	])(
		"%s any of its calls loses nothing and doubles nothing",
		async (_, isDone) => {
			let finished = false;
			let stops = 0;
			for (let at = 1; !finished; at++) {
				const day = await newDay();
				const [first, second] = [await newTenantDay(day), await newTenantDay(day)];
				const records = [await fill(first, 11), await fill(second, 2)];
				const failing = failingAt(at, isDone);
				finished = await archiveSlice(failing.services, hotDays, small).then(
					() => true,
					() => false,
				);
				if (!finished) stops++;
				await archiveAll();
				expect(await isThere(day), `stopped at call ${at}`).toBe(false);
				for (const [index, of] of [first, second].entries()) {
					expect(await archived(of), `stopped at call ${at}`).toEqual(records[index]);
					expect(await keysUnder(`audit/${of.tenant}/`)).toHaveLength(index === 0 ? 3 : 2);
				}
			}
			expect(stops).toBeGreaterThan(20);
		},
		120_000,
	);

	it("is no harm to another one at the same time", async () => {
		const of = await newTenantDay();
		const records = await fill(of, 45);
		await Promise.allSettled([1, 2, 3].map(() => archiveSlice(services, hotDays, small)));
		await archiveAll();
		expect(await archived(of)).toEqual(records);
		expect(await isThere(of.day)).toBe(false);
	});

	it.each([
		["writes its manifest", "manifest.jws", 0],
		["writes its manifest, of records that were not all", "manifest.jws", 3],
		["deletes what nothing leads to, of records that were not all", "[object Object]", 3],
	])("is no harm to another one that is done before it %s", async (_, waitsAt, late) => {
		const of = await newTenantDay();
		const early = await fill(of, 20);
		const reached = Promise.withResolvers<void>();
		const otherIsDone = Promise.withResolvers<void>();
		const archive = wrapBucket(env.ARCHIVE, async (run, key) => {
			if (key.endsWith(waitsAt)) {
				reached.resolve();
				await otherIsDone.promise;
			}
			return run();
		});
		const slow = archiveSlice({ ...services, archive }, hotDays, small);
		await reached.promise;
		const records = early.concat(late > 0 ? await fill(of, late, 20) : []);
		await archiveAll();
		otherIsDone.resolve();
		await slow;
		const byId = records.sort((a, b) => (a.record.id < b.record.id ? -1 : 1));
		expect(await archived(of)).toEqual(byId);
		expect(await isThere(of.day)).toBe(false);
	});
});

describe("a partition", () => {
	/** Archives with a bucket of which `spoil` changes what is read. */
	function archiveSpoilt(spoil: (key: string, bytes: Uint8Array) => Uint8Array) {
		const archive = wrapBucket(env.ARCHIVE, async (run, key) => {
			const found = await run();
			const object = found as { arrayBuffer?: () => Promise<ArrayBuffer> } | null;
			if (!object?.arrayBuffer) return found;
			const bytes = spoil(key, new Uint8Array(await object.arrayBuffer()));
			return new Response(bytes as Uint8Array<ArrayBuffer>) as typeof found;
		});
		return archiveSlice({ ...services, archive }, hotDays, small);
	}

	it.each(["000001.parquet", "manifest.jws"])(
		"stays when %s is not what was written",
		async (name) => {
			const of = await newTenantDay();
			const records = await fill(of, 20);
			const spoil = (key: string, bytes: Uint8Array) => {
				const at = Math.floor(bytes.length / 2);
				if (key.endsWith(name)) bytes[at] = (bytes[at] ?? 0) ^ 1;
				return bytes;
			};
			await expect(archiveSpoilt(spoil)).rejects.toThrow(`${name} is not what was written`);
			expect(await countIn(of.tenant)).toBe(20);
			await archiveAll();
			expect(await archived(of)).toEqual(records);
		},
	);

	it("is not dropped before every tenant is archived, whoever asks", async () => {
		const day = await newDay();
		const [first, second] = [await newTenantDay(day), await newTenantDay(day)];
		await fill(first, 3);
		await fill(second, 3);
		const drop = { name: "test", text: "select audit_drop_partition($1)" };
		await expect(services.db.query(drop, [day])).rejects.toThrow("P0001");
		await archiveSlice(services, hotDays, { ...small, filesPerRun: 2 });
		expect([first, second].map(({ tenant }) => tenant)).toContain(
			(await ownerSql().query("select tenant_id from audit_archives where day = $1", [day]))[0]
				?.tenant_id,
		);
		await expect(services.db.query(drop, [day])).rejects.toThrow("P0001");
		expect(await countIn(first.tenant)).toBe(3);
		expect(await countIn(second.tenant)).toBe(3);
	});

	it.each([0, 1])("of %s days ago is never closed", async (age) => {
		const close = {
			name: "test",
			text: "select audit_close_partition((now() at time zone 'utc')::date - $1::int)",
		};
		await expect(services.db.query(close, [age])).rejects.toThrow("P0001");
	});

	it("with a record that comes late is archived anew, with that record", async () => {
		const of = await newTenantDay();
		const records = await fill(of, 20);
		const late: typeof records = [];
		const query: typeof services.db.query = async (statement, params) => {
			if (statement.name === "archives.drop" && late.length === 0)
				late.push(...(await fill(of, 3, 1)));
			return services.db.query(statement, params);
		};
		const using = { ...services, db: { ...services.db, query } };
		await expect(archiveSlice(using, hotDays, small)).rejects.toThrow("P0001");
		expect(await countIn(of.tenant)).toBe(23);
		await archiveAll();
		const all = [...records, ...late].sort((a, b) => (a.record.id < b.record.id ? -1 : 1));
		expect(await archived(of)).toEqual(all);
		expect(await stateOf(of)).toMatchObject({ state: "archived", round: 1, records: 23 });
		const keys = await keysUnder(`audit/${of.tenant}/`);
		expect(keys.every((key) => key.startsWith(`audit/${of.tenant}/${of.day}/1/`))).toBe(true);
	});

	it("takes a record that comes after it is gone where it is still read", async () => {
		const of = await newTenantDay();
		await fill(of, 3);
		await archiveAll();
		await fill(of, 2);
		expect(await countIn(of.tenant)).toBe(2);
		expect(await archived(of)).toHaveLength(3);
	});
});

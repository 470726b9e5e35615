import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it } from "vitest";
import { type ArchiveServices, archiveSlice } from "../../src/audit/archive.ts";
import { leafOf } from "../../src/audit/chain.ts";
import { expireSlice } from "../../src/audit/expire.ts";
import { MerkleRoot } from "../../src/audit/merkle.ts";
import { inMemory, openParquet, readRecords } from "../../src/audit/parquet.ts";
import { encodeParquet, hasRecords } from "../../src/audit/parquet-file.ts";
import { encodeAppend, firstRecordId, splitAppend, timeOf } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import type { SourcedRecord } from "../../src/audit/source.ts";
import type { TenantDay } from "../../src/db/audit-archives.ts";
import type { Database, Param, Statement } from "../../src/db/client.ts";
import { toHex } from "../../src/lib/bytes.ts";
import type { LogEvent } from "../../src/observe/log.ts";
import { newTenant, ownerSql } from "../support/tenant.ts";
import {
	archiveAll,
	archived,
	dropDays,
	everything,
	expiringOnly,
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
		const { files } = await manifestOf(of);
		const names = files.map(
			({ sha256 }, part) => `${prefix}00000${part}-${sha256.slice(0, 16)}.parquet`,
		);
		expect(await keysUnder(`audit/${of.tenant}/`)).toEqual([...names, `${prefix}manifest.jws`]);
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
			const head = { ...record, id: firstRecordId(record.id) };
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
			expect(span.numbers).toEqual([[1, chain.length]]);
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

describe("the numbers of a day's chains", () => {
	it("go on from run to run, but for a chain of which an earlier version noted none", async () => {
		const of = await newTenantDay();
		const records = await fill(of, 45);
		await archiveSlice(services, hotDays, { ...small, filesPerRun: 3 });
		const [old, other] = [...new Set(records.map(({ chain }) => chain))];
		await ownerSql().query(
			`update audit_archives set chains = (
				select jsonb_agg(case when span ->> 'chain' = $2 then span - 'numbers' else span end)
				from jsonb_array_elements(chains) span)
			where tenant_id = $1 and state = 'writing' and records > 0`,
			[of.tenant, old],
		);
		await archiveAll();
		const { chains } = await manifestOf(of);
		const numbers = new Map(chains.map((span) => [span.chain, span.numbers]));
		const count = records.filter(({ chain }) => chain === other).length;
		expect(numbers.get(String(old))).toBeNull();
		expect(numbers.get(String(other))).toEqual([[1, count]]);
	});
});

describe("a file that is read again", () => {
	it("has the records that were written, every one of them", async () => {
		const records = await fill(await newTenantDay(), 6);
		const pace = async () => {};
		const { file, metadata } = await openParquet(
			inMemory((await encodeParquet(records, pace)).buffer),
		);
		const has = (rows: readonly SourcedRecord[], groups = metadata.row_groups) =>
			hasRecords({ file, metadata: { ...metadata, row_groups: groups } }, rows, pace);
		expect(await has(records)).toBe(true);
		expect(await has(records, [])).toBe(false);
		expect(await has(records.slice(1))).toBe(false);
		expect(await has(records.toReversed())).toBe(false);
		const [first, ...rest] = records as [SourcedRecord, ...SourcedRecord[]];
		const changed = { ...first, record: { ...first.record, cost: first.record.cost + 1 } };
		expect(await has([changed, ...rest])).toBe(false);
	});

	/** Seldom and often, for the library writes the two in different ways. */
	it.each([["\ufeffx"], ["\ufeff"], ["\ufeff\ufeff", "x"], ["ＡＡ", "🚀 deploy", "\ufeff🚀"]])(
		"has the names %j as they were written",
		async (...names) => {
			for (const count of [names.length, 40]) {
				const records = (await fill(await newTenantDay(), count)).map((found, i): SourcedRecord => {
					const target = { ...found.record.target, name: names[i % names.length] ?? "" };
					return { ...found, record: { ...found.record, target } };
				});
				const pace = async () => {};
				const file = await openParquet(inMemory((await encodeParquet(records, pace)).buffer));
				expect(await hasRecords(file, records, pace)).toBe(true);
				expect(await readRecords(file)).toEqual(records);
			}
		},
	);
});

describe("a tenant whose records can not be archived", () => {
	/** The services, of which R2 takes nothing of this tenant's, and what they log. */
	function refusing(tenant: string) {
		const events: LogEvent[] = [];
		let tries = 0;
		const archive = wrapBucket(env.ARCHIVE, async (run, key) => {
			if (!key.startsWith(`audit/${tenant}/`)) return run();
			tries++;
			throw new Error("this tenant's are refused");
		});
		const log = (event: LogEvent) => void events.push(event);
		return { using: { ...services, archive, log }, events, tries: () => tries };
	}

	/** With the database as it is, at a time when no days are over but those up to this one. */
	function upTo(day: string, using: ArchiveServices): ArchiveServices {
		const clock = () => Date.parse(day) + (hotDays + 1) * 24 * 3600 * 1000;
		return { ...using, db: everything.db, clock };
	}

	/** Tenants of a day, by their names: the order in which they are archived. */
	async function tenantsOf(count: number): Promise<TenantDay[]> {
		const day = await newDay();
		const names = Array.from({ length: count }, newTenantName).sort();
		return names.map((tenant) => ({ tenant, day }));
	}

	it.each([0, 1, 2])(
		"keeps its day's partition, and no other tenant and no later day (number %s of three)",
		async (place) => {
			const tenants = await tenantsOf(3);
			const stuck = tenants[place] as TenantDay;
			const others = tenants.filter((of) => of !== stuck);
			const later = await newDay();
			const [otherLater, stuckLater] = [
				await newTenantDay(later),
				{ ...stuck, day: await newDay() },
			];
			const last = await newTenantDay();
			const all = [...tenants, otherLater, stuckLater, last];
			const records = new Map<TenantDay, SourcedRecord[]>();
			for (const of of all) records.set(of, await fill(of, 11));
			const { using, events } = refusing(stuck.tenant);

			const run = archiveSlice(upTo(last.day, using), hotDays, small);
			await expect(run).rejects.toThrow("are refused");
			for (const of of [...others, otherLater, last]) {
				expect(await archived(of)).toEqual(records.get(of));
			}
			const isLeft = await Promise.all(
				[stuck, otherLater, stuckLater, last].map((of) => isThere(of.day)),
			);
			expect(isLeft).toEqual([true, false, true, false]);
			expect(await countIn(stuck.tenant)).toBe(22);
			for (const { tenant } of others) expect(await countIn(tenant)).toBe(11);
			expect(events).toHaveLength(2);
			for (const [index, { tenant, day }] of [stuck, stuckLater].entries()) {
				expect(events[index]).toMatchObject({ event: "job_failed", job: "archiveAudit" });
				const error = expect.stringMatching(new RegExp(`^${tenant} ${day}: .*are refused`));
				expect(events[index]).toMatchObject({ error });
			}

			await archiveAll();
			for (const of of all) expect(await archived(of)).toEqual(records.get(of));
			for (const { day } of all) expect(await isThere(day)).toBe(false);
		},
	);

	it.each(["archives.close", "archives.drop"])(
		"that somebody holds, so that %s fails, is left for the next run, and later ones are archived",
		async (held) => {
			const days = [await newDay(), await newDay()].sort() as [string, string];
			const [first, second] = [await newTenantDay(days[0]), await newTenantDay(days[1])];
			const records = [await fill(first, 11), await fill(second, 11)];
			const events: LogEvent[] = [];
			const db: Database = {
				...services.db,
				query: (statement, params) =>
					statement.name === held && params[0] === first.day
						? Promise.reject(new Error("canceling statement due to lock timeout"))
						: services.db.query(statement, params),
			};
			const using = { ...services, db, log: (event: LogEvent) => void events.push(event) };
			await expect(archiveSlice(using, hotDays, small)).rejects.toThrow("lock timeout");
			expect([await isThere(first.day), await isThere(second.day)]).toEqual([true, false]);
			expect(await archived(second)).toEqual(records[1]);
			expect(events).toMatchObject([
				{ event: "job_failed", error: expect.stringMatching(`^${first.day}: .*lock timeout`) },
			]);
			await archiveAll();
			expect(await isThere(first.day)).toBe(false);
			expect(await archived(first)).toEqual(records[0]);
		},
	);

	it("is one of whose records one was changed in Postgres, which gets no manifest", async () => {
		const of = await newTenantDay();
		const records = await fill(of, 11);
		const { id } = records[5]?.record ?? { id: "" };
		const sql = "update audit_events set target_name = $3 where tenant_id = $1 and id = $2";
		const was = records[5]?.record.target.name ?? "";
		await ownerSql().query(sql, [of.tenant, id, "innocent"]);
		const silent = { ...services, log: () => {} };
		await expect(archiveSlice(silent, hotDays, small)).rejects.toThrow(`is not of record ${id}`);
		expect(await stateOf(of)).toMatchObject({ state: "writing" });
		await ownerSql().query(sql, [of.tenant, id, was]);
		await archiveSlice(silent, hotDays, small);
		expect(await archived(of)).toEqual(records);
	});

	it("gets its late records archived with the others when it can", async () => {
		const [stuck, other] = (await tenantsOf(2)) as [TenantDay, TenantDay];
		const [early, late] = [await fill(other, 4), [] as SourcedRecord[]];
		await fill(stuck, 3);
		const { using } = refusing(stuck.tenant);
		await expect(archiveSlice(using, hotDays, small)).rejects.toThrow("are refused");
		late.push(...(await fill(other, 3, 4)), ...(await fill(stuck, 2, 3)));
		await expect(archiveSlice(using, hotDays, small)).rejects.toThrow("are refused");
		expect(await stateOf(other)).toMatchObject({ state: "archived", round: 1, records: 7 });
		await archiveAll();
		expect(await archived(stuck)).toHaveLength(5);
		const ids = [...early, ...late].filter(({ record }) => record.tenant === other.tenant);
		expect((await archived(other)).map(({ record }) => record.id)).toEqual(
			ids.map(({ record }) => record.id).sort(),
		);
		expect(await isThere(stuck.day)).toBe(false);
	});

	it("has no more than its part of a run's work", async () => {
		const tenants = await tenantsOf(3);
		for (const of of tenants) await fill(of, 3);
		const [stuck] = tenants as [TenantDay];
		const { using, tries } = refusing(stuck.tenant);
		for (const [run, done] of [0, 0, 1].entries()) {
			const bounds = { ...small, filesPerRun: run + 1 };
			await expect(archiveSlice(using, hotDays, bounds)).rejects.toThrow("are refused");
			expect(tries()).toBe(run + 1);
			const states = await Promise.all(tenants.map(stateOf));
			expect(states.filter((state) => state?.state === "archived")).toHaveLength(done);
		}
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

	it("leaves no file behind that it wrote of half a day, because another one dropped the other half", async () => {
		const of = await newTenantDay();
		await fill(of, 20);
		let pages = 0;
		const query: typeof services.db.query = async (statement, params) => {
			const rows = await services.db.query(statement, params);
			if (statement.name === "archives.page" && ++pages === 1) await archiveAll();
			return rows as never;
		};
		await archiveSlice({ ...services, db: { ...services.db, query } }, hotDays, small);
		expect(pages).toBeGreaterThan(1);
		const { files } = await manifestOf(of);
		const parquet = (await keysUnder(`audit/${of.tenant}/`)).filter((key) =>
			key.endsWith(".parquet"),
		);
		expect(parquet).toEqual(files.map(({ key }) => key));
	});

	it("leaves no file behind that was put when its day had been deleted by age", async () => {
		const tenant = await newTenant();
		const of = await newTenantDay();
		const own = { ...of, tenant: tenant.id };
		await fill(own, 20);
		const json = { audit_config: { retention_days: 1 } };
		expect((await tenant.call("PUT", "/v1/config", { json })).status).toBe(200);
		let calls = 0;
		const archive = wrapBucket(env.ARCHIVE, async (run, key) => {
			if (key.endsWith(".parquet") && ++calls === 1) {
				await archiveAll();
				const clock = () => Date.parse(of.day) + 500 * 24 * 3600 * 1000;
				await expireSlice({ ...expiringOnly(tenant.id, services), clock });
				expect(await stateOf(own)).toMatchObject({ state: "expired" });
			}
			return run();
		});
		await archiveSlice({ ...services, archive }, hotDays, small);
		const keys = await keysUnder(`audit/${tenant.id}/`);
		expect(keys.filter((key) => key.endsWith(".parquet"))).toEqual([]);
	});

	it("is no harm to what another one has done when it was overtaken between its pages", async () => {
		const of = await newTenantDay();
		const records = await fill(of, 7);
		let pages = 0;
		const query = async (statement: Statement, params: readonly Param[]) => {
			const rows = await services.db.query(statement, params);
			if (statement.name === "archives.page" && ++pages === 1) await archiveAll();
			return rows;
		};
		const slow = { ...services, db: { ...services.db, query: query as Database["query"] } };
		await archiveSlice(slow, hotDays, small);
		expect(pages).toBeGreaterThan(1);
		expect(await isThere(of.day)).toBe(false);
		expect(await archived(of)).toEqual(records);
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
		return archiveSlice({ ...services, archive, log: () => {} }, hotDays, small);
	}

	it.each(["/000001-[0-9a-f]{16}.parquet", "/manifest.jws"])(
		"stays when %s is not what was written",
		async (pattern) => {
			const name = new RegExp(`${pattern}$`);
			const of = await newTenantDay();
			const records = await fill(of, 20);
			const spoil = (key: string, bytes: Uint8Array) => {
				const at = Math.floor(bytes.length / 2);
				if (name.test(key)) bytes[at] = (bytes[at] ?? 0) ^ 1;
				return bytes;
			};
			await expect(archiveSpoilt(spoil)).rejects.toThrow(
				new RegExp(`${pattern} is not what was written`),
			);
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

	it("takes the notes of changes with it whose records it has, and no other", async () => {
		const of = await newTenantDay();
		const [record] = await fill(of, 3);
		const note = `insert into audit_outbox (tenant_id, id, at, place, request_id, action, address, cost)
			values ($1, $2, 'epoch'::timestamptz + $3::bigint * interval '1 millisecond', $4, gen_random_uuid(), 'x', '', 0)`;
		const at = record ? timeOf(record.record) : 0;
		const ids = [record?.record.id, `${record?.record.id.slice(0, -4)}ffff`];
		for (const id of ids) await ownerSql().query(note, [of.tenant, id, at, `${of.tenant}/weur/0`]);
		await archiveAll();
		const left = await ownerSql().query("select id from audit_outbox where tenant_id = $1", [
			of.tenant,
		]);
		expect(left).toEqual([{ id: ids[1] }]);
		await ownerSql().query("delete from audit_outbox where tenant_id = $1", [of.tenant]);
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

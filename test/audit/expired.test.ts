import { env } from "cloudflare:workers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { joinAppends } from "../../src/audit/block.ts";
import { type Checkpoint, checkpointOf } from "../../src/audit/checkpoint.ts";
import { expireSlice } from "../../src/audit/expire.ts";
import { statementsOfExpired } from "../../src/audit/expired.ts";
import { writeExport } from "../../src/audit/export.ts";
import { manifestKey, payloadOf } from "../../src/audit/manifest.ts";
import { packRecords } from "../../src/audit/pack.ts";
import { decodeRecord, encodeAppend, firstRecordId, splitAppend } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import { type RecordSource, unfiltered } from "../../src/audit/source.ts";
import { ExportVerifier, type Verdict } from "../../src/audit/verify.ts";
import { verifyParquet } from "../../src/audit/verify-parquet.ts";
import { insertEvents } from "../../src/db/audit-events.ts";
import { toHex } from "../../src/lib/bytes.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import * as limits from "../../src/limits.ts";
import { call, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";
import {
	archiveAll,
	dropDays,
	expiringOnly,
	manifestOf,
	newDay,
	services,
} from "./archive-support.ts";
import { drain, newAppend, objectAt, placeOfTests } from "./support.ts";

const dayMs = 24 * 3600 * 1000;
let tenant: Tenant;
let reader: Awaited<ReturnType<typeof createStatementReader>>;

/**
 * A chain over three days, of which the first is deleted: numbers 1 to 4 and 6 are of it, 5 and 7 of the
 * day after, 8 and 9 of now.
 */
beforeAll(async () => {
	tenant = await newTenant();
	const days = [await newDay(1995), await newDay(1995)];
	const place = placeOfTests(tenant.id);
	const add = async (at: number | null) => {
		const append = at === null ? newAppend(place) : appendAt(place, at);
		await objectAt(place).append(joinAppends([append]), false);
	};
	const noon = (day: number) => Date.parse(days[day] ?? "") + dayMs / 2;
	for (const day of [0, 0, 0, 0, 1, 0, 1]) await add(noon(day));
	await drain(place);
	await archiveAll();
	// Longer ago than both days are by the clocks of other tests, which let what is past expire.
	const retention_days = 36_000;
	const json = { audit_config: { retention_days } };
	expect((await tenant.call("PUT", "/v1/config", { json })).status).toBe(200);
	const clock = () => Date.parse(days[0] ?? "") + (retention_days + 1.5) * dayMs;
	const own = expiringOnly(tenant.id, services);
	expect(await expireSlice({ ...own, clock })).toBe(1);
	for (const _ of [0, 1]) await add(null);
	reader = await createStatementReader(
		(await call("GET", "/.well-known/audit-jwks.json")).json.keys,
	);
}, 60_000);
afterAll(dropDays);

/** As newAppend makes one, of that time. */
function appendAt(place: string, at: number) {
	const [encoded] = splitAppend(newAppend(place));
	if (!encoded) throw new Error("an append without a record");
	const record = decodeRecord(encoded);
	return encodeAppend({ ...record, id: firstRecordId(uuidv7(() => at, systemRandom)) }, [record]);
}

async function exported(query = ""): Promise<string[]> {
	return (await tenant.call("GET", `/v1/audit/export${query}`)).text.trimEnd().split("\n");
}

async function verify(lines: readonly string[]): Promise<Verdict> {
	const verifier = new ExportVerifier(reader);
	for (const line of lines) await verifier.line(line);
	return verifier.done();
}

const isDay = (line: string) => line.startsWith('{"expired"');
const messages = ({ findings }: Verdict) => findings.map(({ message }) => message).join("\n");

describe("an export after a day was deleted", () => {
	const expired = { days: 1, records: 5 };

	it("is whole but for that day, of which it tells", async () => {
		const lines = await exported();
		expect(lines.filter(isDay)).toHaveLength(1);
		// Beside those of the chain above, the record of the change of the configuration.
		expect(await verify(lines)).toMatchObject({ findings: [], isWhole: true, expired, records: 5 });
	});

	it("is so as Parquet too", async () => {
		const { bytes } = await tenant.call("GET", "/v1/audit/export?format=parquet");
		const file = new Uint8Array(bytes);
		const verifier = new ExportVerifier(reader);
		const slice = (from: number, to?: number) => file.slice(from, to).buffer;
		await verifyParquet({ byteLength: file.length, slice }, verifier);
		expect(verifier.done()).toMatchObject({ findings: [], isWhole: true, expired, records: 5 });
	});

	it("tells nothing of it where the filter does not touch it", async () => {
		expect((await exported("?from=2020-01-01T00:00:00Z")).filter(isDay)).toEqual([]);
		expect((await exported("?action=sign")).filter(isDay)).toHaveLength(1);
	});

	it("does not hold without what it tells", async () => {
		const verdict = await verify((await exported()).filter((line) => !isDay(line)));
		expect(messages(verdict)).toContain("numbers 1 to 4 of the chain");
		expect(messages(verdict)).toContain("they are not those that the service signed");
	});

	it("does not hold with anything beside what it tells, which nobody has signed", async () => {
		const lines = await exported();
		const more = lines.map((line) => (isDay(line) ? `${line.slice(0, -1)},"note":1}` : line));
		expect((await verify(more)).findings).toMatchObject([
			{ kind: "changed", line: lines.findIndex(isDay) + 1 },
		]);
	});

	it("does not hold with what another export tells", async () => {
		const [lines, others] = [await exported(), await exported()];
		const other = others.find(isDay) ?? "";
		const verdict = await verify(lines.map((line) => (isDay(line) ? other : line)));
		expect(verdict.findings[0]).toMatchObject({ kind: "forged" });
		expect(messages(verdict)).toContain("numbers 1 to 4 of the chain");
	});

	it("does not pass off a record more as one of the day, nor one that does not follow it", async () => {
		const lines = await exported();
		const without = (sequence: number) =>
			lines.filter((line) => JSON.parse(line).record?.sequence !== sequence);
		// Number 5 is among those of the day, which had those around it.
		expect(messages(await verify(without(5)))).toContain("number 5 of the chain");
		expect(messages(await verify(without(7)))).toContain("number 7 of the chain");
	});
});

describe("an export after a day was deleted and Postgres was changed", () => {
	let own: Tenant;
	let day: string;
	let chain: { id: string; tenant: string; region: string; shard: number };

	/** Numbers 1 to 4 and 6 are of the deleted day, 5 and 7 of now. */
	beforeEach(async () => {
		own = await newTenant();
		day = await newDay(1996);
		const noon = Date.parse(day) + dayMs / 2;
		const place = placeOfTests(own.id);
		for (const at of [noon, noon, noon, noon, null, noon, null]) {
			const append = at === null ? newAppend(place) : appendAt(place, at);
			await objectAt(place).append(joinAppends([append]), false);
		}
		await drain(place);
		await archiveAll();
		const [row] = await ownerSql().query(
			"select id, tenant_id as tenant, region, shard from audit_chains where tenant_id = $1",
			[own.id],
		);
		chain = row as typeof chain;
	});

	/** Deletes the day, and lets as much time go by as an export needs to know that it was before. */
	async function expireOwn(): Promise<void> {
		const json = { audit_config: { retention_days: 36_000 } };
		expect((await own.call("PUT", "/v1/config", { json })).status).toBe(200);
		const clock = () => Date.parse(day) + 36_001.5 * dayMs;
		expect(await expireSlice({ ...expiringOnly(own.id, services), clock })).toBe(1);
	}

	async function expireBefore(): Promise<void> {
		await expireOwn();
		const since = Date.now() + limits.auditDeletedBeforeMs;
		await expect.poll(() => Date.now()).toBeGreaterThan(since);
	}

	/** A record of now at that number, with a link of which nobody can know. */
	async function forge(sequence: number): Promise<string> {
		const [encoded] = splitAppend(newAppend(placeOfTests(own.id)));
		if (!encoded) throw new Error("an append without a record");
		const forged = { ...encoded, sequence, link: systemRandom(32) };
		await insertEvents(services.db, chain, packRecords([forged]));
		return decodeRecord(encoded).id;
	}

	async function remove(sequence: number): Promise<void> {
		const sql = "delete from audit_events where tenant_id = $1 and chain = $2 and sequence = $3";
		await ownerSql().query(sql, [own.id, chain.id, sequence]);
	}

	/** As it was written by the versions before this one. */
	async function withoutNumbers(): Promise<void> {
		const of = { tenant: own.id, day };
		const manifest = await manifestOf(of);
		const chains = manifest.chains.map(({ numbers: _, ...span }) => span);
		const jws = await services.auditSigner.sign("edgesign-audit-manifest+jwt", {
			...manifest,
			chains,
		});
		await env.ARCHIVE.put(manifestKey(of, manifest.round), jws);
		const payload = payloadOf(jws) ?? new Uint8Array();
		const sha256 = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", payload)));
		const sql =
			"update audit_archives set manifest = decode($3, 'hex') where tenant_id = $1 and day = $2";
		await ownerSql().query(sql, [own.id, day, sha256]);
	}

	async function verdictOf(query = "", since: Checkpoint | null = null): Promise<Verdict> {
		const { bytes, text } = await own.call("GET", `/v1/audit/export${query}`);
		const verifier = new ExportVerifier(reader, since);
		if (query.includes("parquet")) {
			const file = new Uint8Array(bytes);
			const slice = (from: number, to?: number) => file.slice(from, to).buffer;
			await verifyParquet({ byteLength: file.length, slice }, verifier);
		} else for (const line of text.trimEnd().split("\n")) await verifier.line(line);
		return verifier.done();
	}

	const queries = ["", "?format=parquet", "?action=sign", "?format=parquet&action=sign"];
	const had = "a deleted day had another record there";

	it("names a record that was added at one of its numbers, whatever its form, filter and kept checkpoint", async () => {
		await expireBefore();
		const { checkpoint } = (await own.call("GET", "/v1/audit/checkpoint")).json;
		for (const query of queries) expect((await verdictOf(query, checkpoint)).findings).toEqual([]);
		const forged = await forge(2);
		for (const query of queries) {
			for (const since of [null, checkpoint]) {
				const { findings } = await verdictOf(query, since);
				const message = `${forged}, number 2 of the chain ${chain.id}: ${had}`;
				expect(findings).toEqual([{ kind: "added", line: expect.any(Number), message }]);
			}
		}
	});

	it("names both where one was added in the place of another", async () => {
		await expireBefore();
		await remove(5);
		const forged = await forge(2);
		for (const query of queries.slice(0, 2)) {
			const { findings } = await verdictOf(query);
			expect(findings).toMatchObject([
				{ kind: "missing", message: `number 5 of the chain ${chain.id}` },
				{ kind: "added", message: expect.stringContaining(forged) },
			]);
		}
	});

	it("counts what was added where its manifest tells no numbers", async () => {
		await withoutNumbers();
		await expireBefore();
		for (const query of queries) expect((await verdictOf(query)).findings).toEqual([]);
		await forge(2);
		const message = `1 record too many among numbers 1 to 6 of the chain ${chain.id}, of deleted days`;
		for (const query of queries.slice(0, 2)) {
			expect((await verdictOf(query)).findings).toEqual([{ kind: "added", line: null, message }]);
		}
	});

	it("holds where the day was deleted while it was made, whether its records came or not", async () => {
		const { auditReader, auditSigner: signer } = services;
		const heads = await auditReader.headsOf(own.id);
		const checkpoint = checkpointOf(own.id, heads, Date.now());
		const cold = services.cold();
		const records = await auditReader.recordsOf(own.id, cold);
		const filter = { ...unfiltered, tenant: own.id };
		const id = uuidv7(Date.now, systemRandom);
		let came = 0;
		const source: RecordSource = {
			async read(query) {
				const slice = await records.read(query);
				came += slice.records.length;
				if (slice.reached === null) await expireOwn();
				return slice;
			},
		};
		const request = {
			...{ id, filter, checkpoint, source, signer },
			hasBegun: (one: string) => auditReader.hasBegun(own.id, one),
			expired: () => statementsOfExpired(cold, signer, id, filter),
		};
		const verifier = new ExportVerifier(reader);
		for await (const piece of writeExport(request)) {
			for (const line of piece.trimEnd().split("\n")) await verifier.line(line);
		}
		expect(came).toBe(7);
		expect(verifier.done()).toMatchObject({ findings: [], expired: { days: 1, records: 5 } });
	});

	it("says since when, which a deletion that goes on does not change", async () => {
		await expireOwn();
		const deleted = async () => {
			const line = (await own.call("GET", "/v1/audit/export")).text.split("\n").find(isDay) ?? "";
			const [, payload = ""] = JSON.parse(line).expired.split(".");
			return JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))).deleted;
		};
		const before = await deleted();
		for (const state of ["expiring", "archived"]) {
			expect(Math.abs(Date.now() - Date.parse(before))).toBeLessThan(60_000);
			const sql = "update audit_archives set state = $2 where tenant_id = $1";
			await ownerSql().query(sql, [own.id, state]);
			await expireOwn();
			expect(await deleted()).toBe(before);
		}
	});
});

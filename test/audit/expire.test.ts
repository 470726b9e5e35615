import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { archiveSource } from "../../src/audit/archive-source.ts";
import { expireSlice } from "../../src/audit/expire.ts";
import { appendOfChange } from "../../src/audit/outbox.ts";
import { decodeRecord, splitAppend } from "../../src/audit/record.ts";
import { unfiltered } from "../../src/audit/source.ts";
import type { TenantDay } from "../../src/db/audit-archives.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";
import {
	archiveAll,
	dropDays,
	expiringOnly,
	fill,
	keysUnder,
	newDay,
	services,
	stateOf,
} from "./archive-support.ts";

const dayMs = 24 * 3600 * 1000;
let tenant: Tenant;
let of: TenantDay;

beforeEach(async () => {
	tenant = await newTenant();
	of = { tenant: tenant.id, day: await newDay(1994) };
	await fill(of, 20);
	await archiveAll();
});
afterEach(dropDays);

async function configure(audit_config: object): Promise<void> {
	const answer = await tenant.call("PUT", "/v1/config", { json: { audit_config } });
	expect(answer.status, answer.text).toBe(200);
}

/** Deletes what is due so many days after the day of the records. */
function expireAfter(days: number, using = services): Promise<number> {
	const own = expiringOnly(tenant.id, using);
	return expireSlice({ ...own, clock: () => Date.parse(of.day) + days * dayMs + dayMs / 2 });
}

/** As far as the archive's word; then R2 is away. */
async function beginDeletion(): Promise<void> {
	const away = () => Promise.reject(new Error("R2 is away"));
	let isGiven = false;
	const put = async (key: string, value: string) => {
		await env.ARCHIVE.put(key, value);
		isGiven = true;
	};
	const list = (options: R2ListOptions) => (isGiven ? away() : env.ARCHIVE.list(options));
	const using = { ...services, archive: { put, list } as unknown as R2Bucket };
	await expect(expireAfter(500, using)).rejects.toThrow("R2 is away");
}

/** The bucket, with one of its functions in the place of its own. */
function withInPlace(replaced: string, own: (...args: never[]) => Promise<unknown>): R2Bucket {
	return new Proxy(env.ARCHIVE, {
		get(target, name) {
			if (name === replaced) return own;
			const value: unknown = Reflect.get(target, name);
			return typeof value === "function" ? value.bind(target) : value;
		},
	});
}

async function files(): Promise<string[]> {
	return (await keysUnder(`audit/${tenant.id}/`)).filter((key) => key.endsWith(".parquet"));
}

async function notes() {
	return ownerSql().query(
		"select * from audit_outbox where tenant_id = $1 and action = 'audit.expire'",
		[tenant.id],
	);
}

describe("files of archived days", () => {
	it("are kept for ever where nothing is set", async () => {
		await expireAfter(30_000);
		expect(await files()).toHaveLength(3);
		expect(await stateOf(of)).toMatchObject({ state: "archived" });
	});

	it("are deleted when they are older than the tenant keeps them, and not a day before", async () => {
		await configure({ retention_days: 400 });
		await expireAfter(400);
		expect(await files()).toHaveLength(3);
		await expireAfter(401);
		expect(await files()).toEqual([]);
		expect(await stateOf(of)).toMatchObject({ state: "expired" });
		// What says that they were there stays.
		expect(await keysUnder(`audit/${tenant.id}/`)).toEqual([
			`audit/${tenant.id}/${of.day}/0/manifest.jws`,
			`audit/${tenant.id}/${of.day}/deletion.jws`,
		]);
		const query = { tenant: tenant.id, ...unfiltered, before: null, limit: 10 };
		const source = archiveSource({ db: services.db, archive: env.ARCHIVE });
		expect(await source.read(query)).toEqual({ records: [], reached: null });
	});

	it("are kept under a legal hold, whatever their age, and deleted when it ends", async () => {
		await configure({ retention_days: 1, legal_hold: true });
		await expireAfter(30_000);
		expect(await files()).toHaveLength(3);
		await configure({ retention_days: 1, legal_hold: false });
		await expireAfter(30_000);
		expect(await files()).toEqual([]);
	});

	it("are kept while Postgres has the day too", async () => {
		await ownerSql().query("update audit_archive_days set dropped_at = null where day = $1", [
			of.day,
		]);
		await configure({ retention_days: 1 });
		await expireAfter(30_000);
		expect(await files()).toHaveLength(3);
	});

	it("are kept when a hold comes between the look and the deletion", async () => {
		await configure({ retention_days: 1 });
		const query: typeof services.db.query = async (statement, params) => {
			const rows = await services.db.query(statement, params);
			if (statement.name === "archives.expirable")
				await configure({ retention_days: 1, legal_hold: true });
			return rows as never;
		};
		await expireAfter(30_000, { ...services, db: { ...services.db, query } });
		expect(await files()).toHaveLength(3);
		expect(await keysUnder(`audit/${tenant.id}/`)).not.toContainEqual(
			expect.stringContaining("deletion"),
		);
		expect(await notes()).toEqual([]);
	});
});

describe("a deletion", () => {
	it("is not told of a day by an export because Postgres alone says so", async () => {
		const text = async () => (await tenant.call("GET", "/v1/audit/export")).text;
		expect(await text()).toContain('{"end":');
		const sql = "update audit_archives set state = 'expired' where tenant_id = $1";
		await ownerSql().query(sql, [tenant.id]);
		await expect(text()).rejects.toThrow();
	});

	it("of before the archive kept its word for it is told of all the same", async () => {
		await configure({ retention_days: 1 });
		await expireAfter(500);
		await env.ARCHIVE.delete(`audit/${tenant.id}/${of.day}/deletion.jws`);
		const { text } = await tenant.call("GET", "/v1/audit/export");
		expect(text).toContain('{"expired":');
		expect(text).toContain('{"end":');
	});

	it.each([
		["day", { day: "1994-02-30" }],
		["tenant", { tenant: "another" }],
	])("is not told of where the archive's word is of another %s", async (_, other) => {
		await configure({ retention_days: 1 });
		await expireAfter(500);
		const text = async () => (await tenant.call("GET", "/v1/audit/export")).text;
		expect(await text()).toContain('{"expired":');
		const said = { ...of, ...other };
		const signed = await services.auditSigner.sign("edgesign-audit-deletion+jwt", said);
		await env.ARCHIVE.put(`audit/${tenant.id}/${of.day}/deletion.jws`, signed);
		await expect(text()).rejects.toThrow();
	});

	it("is recorded, by the service itself", async () => {
		await configure({ retention_days: 1 });
		await expireAfter(500);
		const [note, ...more] = await notes();
		expect(more).toEqual([]);
		const row = { ...note, at: 0, requestId: note?.request_id, tokenId: note?.token_id };
		const { records } = appendOfChange(tenant.id, row as never, note as never);
		const [record] = splitAppend(records).map(decodeRecord);
		expect(record).toMatchObject({ action: "audit.expire", tokenId: null, outcome: "ok" });
		expect(record?.target).toEqual({ id: null, name: of.day, version: 0, algorithm: "" });
	});

	it("that is decided and not begun leaves the day to be read under a hold, whatever Postgres says then", async () => {
		await configure({ retention_days: 1 });
		const query: typeof services.db.query = async (statement, params) => {
			const rows = await services.db.query(statement, params);
			if (statement.name === "archives.expire") await configure({ legal_hold: true });
			return rows as never;
		};
		await expireAfter(500, { ...services, db: { ...services.db, query } });
		expect(await stateOf(of)).toMatchObject({ state: "expiring" });
		await expireAfter(500);
		expect(await files()).toHaveLength(3);
		const text = async () => (await tenant.call("GET", "/v1/audit/export")).text;
		expect(await text()).not.toContain('{"expired":');
		const source = archiveSource({ db: services.db, archive: env.ARCHIVE });
		const all = { tenant: tenant.id, ...unfiltered, before: null, limit: 50 };
		expect((await source.read(all)).records).toHaveLength(20);
		const sql = "update audit_archives set state = 'expired' where tenant_id = $1";
		await ownerSql().query(sql, [tenant.id]);
		await expect(text()).rejects.toThrow();
	});

	it("that had begun for another day does not take one along that is held by now", async () => {
		await configure({ retention_days: 1 });
		await beginDeletion();
		const query: typeof services.db.query = async (statement, params) => {
			const rows = await services.db.query(statement, params);
			if (statement.name === "archives.expirable") await configure({ legal_hold: true });
			return rows as never;
		};
		await expireAfter(500, { ...services, db: { ...services.db, query } });
		expect(await files()).toHaveLength(3);
	});

	it("waits for nobody who has its row: what is decided is by what is configured now", async () => {
		await configure({ retention_days: 1 });
		let expired = -1;
		const query: typeof services.db.query = async (statement, params) => {
			if (statement.name !== "archives.expire") return services.db.query(statement, params);
			const holds = `hold ${tenant.id}`;
			const held = ownerSql()
				.transaction([
					ownerSql().query("select 1 from audit_archives where tenant_id = $1 for update", [
						tenant.id,
					]),
					ownerSql().query(`select pg_sleep(60) /* ${holds} */`),
				])
				.catch(() => {}); // it is cut off below
			const isFree = "select 1 from audit_archives where tenant_id = $1 for update skip locked";
			await expect.poll(() => ownerSql().query(isFree, [tenant.id])).toEqual([]);
			const rows = await services.db.query(statement, params);
			expired = rows.length;
			const end = `select pg_cancel_backend(pid) from pg_stat_activity
				where query like $1 and pid <> pg_backend_pid()`;
			await ownerSql().query(end, [`%/* ${holds} */%`]);
			await held;
			return rows as never;
		};
		await expireAfter(500, { ...services, db: { ...services.db, query } });
		expect(expired).toBe(0);
		expect(await stateOf(of)).toMatchObject({ state: "archived" });
		expect(await notes()).toEqual([]);
		await expireAfter(500);
		expect(await files()).toEqual([]);
	});

	it("are kept under a hold that came while they were being deleted", async () => {
		await configure({ retention_days: 1 });
		await beginDeletion();
		expect(await stateOf(of)).toMatchObject({ state: "expiring" });
		await configure({ retention_days: 1, legal_hold: true });
		await expireAfter(500);
		expect(await files()).toHaveLength(3);
		expect(await stateOf(of)).toMatchObject({ state: "expiring" });
		await configure({ retention_days: 1, legal_hold: false });
		await expireAfter(500);
		expect(await files()).toEqual([]);
	});

	it("that fails keeps no other day from being deleted", async () => {
		const next = { tenant: tenant.id, day: await newDay(1994) };
		await fill(next, 20);
		await archiveAll();
		await configure({ retention_days: 1 });
		const put = async (key: string, value: string) => {
			if (key.includes(of.day)) throw new Error("locked");
			return env.ARCHIVE.put(key, value);
		};
		const using = { ...services, archive: withInPlace("put", put) };
		await expect(expireAfter(500, using)).rejects.toThrow("locked");
		expect(await stateOf(next)).toMatchObject({ state: "expired" });
		expect(await stateOf(of)).toMatchObject({ state: "expiring" });
		await expireAfter(500);
		expect(await stateOf(of)).toMatchObject({ state: "expired" });
	});

	it.each(["put", "list", "delete", "archives.expired"])(
		"goes on when it was stopped at %s",
		async (step) => {
			await configure({ retention_days: 1 });
			const archive = withInPlace(step, () => Promise.reject(new Error("killed")));
			const query: typeof services.db.query = (statement, params) =>
				statement.name === step
					? Promise.reject(new Error("killed"))
					: services.db.query(statement, params);
			const using = { ...services, archive, db: { ...services.db, query } };
			await expect(expireAfter(500, using)).rejects.toThrow("killed");
			expect(await stateOf(of)).toMatchObject({ state: "expiring" });
			await expireAfter(500);
			expect(await files()).toEqual([]);
			expect(await stateOf(of)).toMatchObject({ state: "expired" });
			expect(await notes()).toHaveLength(1);
		},
	);
});

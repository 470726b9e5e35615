import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { joinAppends } from "../../src/audit/block.ts";
import { type AuditPlaces, createAuditReader } from "../../src/audit/reader.ts";
import { decodeRecord, splitAppend } from "../../src/audit/record.ts";
import {
	AuditUnreadable,
	type RecordQuery,
	type RecordSource,
	unfiltered,
} from "../../src/audit/source.ts";
import type { Database } from "../../src/db/client.ts";
import { createServices } from "../../src/services.ts";
import { drain, newAppend, newPlace, objectAt, placeOfTests, waitingIn } from "./support.ts";

const services = createServices(env);
const places: AuditPlaces = {
	namespace: env.AUDIT_LOG,
	coordinator: services.coordinator,
	db: services.db,
};
function tenantOf(place: string): string {
	return place.split("/")[0] ?? "";
}

/** Appends one by one; their ids, in the order of a page. */
async function fill(place: string, count: number): Promise<string[]> {
	const ids: string[] = [];
	for (let done = 0; done < count; done++) {
		const append = newAppend(place);
		await objectAt(place).append(joinAppends([append]), false);
		ids.push(...splitAppend(append).map((record) => decodeRecord(record).id));
	}
	return ids.sort().reverse();
}

/** Every page of a source, `meanwhile` between each two. */
async function pagesOf(
	source: RecordSource,
	query: Omit<RecordQuery, "before">,
	meanwhile: () => Promise<unknown> = async () => {},
): Promise<string[]> {
	const ids: string[] = [];
	for (let before: string | null = null; ; ) {
		const { records, reached } = await source.read({ ...query, before });
		expect(records.length).toBeLessThanOrEqual(query.limit);
		ids.push(...records.map(({ record }) => record.id));
		if (reached === null) return ids;
		if (before !== null) expect(reached < before).toBe(true);
		before = reached;
		await meanwhile();
	}
}

describe("pages", () => {
	let place: string;
	let tenant: string;
	let ids: string[];
	beforeAll(async () => {
		place = newPlace();
		tenant = tenantOf(place);
		const other = `${tenant}/afr/3`;
		const parts = [await fill(place, 7), await fill(other, 6)];
		await drain(place);
		parts.push(await fill(other, 2), await fill(place, 5));
		ids = parts.flat().sort().reverse();
	});

	it.each([1, 3, 7, 50])(
		"of %i have every record of every place once, the newest first",
		async (limit) => {
			const source = await createAuditReader(places).recordsOf(tenant);
			expect(await pagesOf(source, { ...unfiltered, tenant, limit })).toEqual(ids);
		},
	);

	it("have what a filter wants", async () => {
		const source = await createAuditReader(places).recordsOf(tenant);
		const { records } = await source.read({ ...unfiltered, tenant, before: null, limit: 50 });
		for (const wanted of [records[1], records[13]]) {
			const targetId = wanted?.record.target.id ?? null;
			const found = await pagesOf(source, { ...unfiltered, tenant, targetId, limit: 2 });
			expect(found).toEqual([wanted?.record.id]);
		}
		const named = await pagesOf(source, { ...unfiltered, tenant, targetName: "key", limit: 4 });
		expect(named).toEqual(ids);
		expect(await pagesOf(source, { ...unfiltered, tenant, action: "verify", limit: 4 })).toEqual(
			[],
		);
		const [from, to] = [records[12], records[4]].map((found) => timeIn(found?.record.id ?? ""));
		const within = ids.filter((id) => timeIn(id) >= (from ?? 0) && timeIn(id) < (to ?? 0));
		const window = { ...unfiltered, tenant, from: from ?? 0, to: to ?? 0, limit: 3 };
		expect(await pagesOf(source, window)).toEqual(within);
	});

	it("tell the same record of an object and of Postgres", async () => {
		const read = async () => {
			const source = await createAuditReader(places).recordsOf(tenant);
			return (await source.read({ ...unfiltered, tenant, before: null, limit: 50 })).records;
		};
		const before = await read();
		await drain(place);
		await drain(`${tenant}/afr/3`);
		expect(await read()).toEqual(before);
	});
});

function timeIn(id: string): number {
	return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

describe("while records move to Postgres", () => {
	it("between the two that are asked, none is missing and none is there twice", async () => {
		const place = newPlace();
		const ids = await fill(place, 9);
		const db: Database = {
			...services.db,
			async query(statement, params) {
				await drain(place);
				return services.db.query(statement, params);
			},
		};
		const tenant = tenantOf(place);
		const source = await createAuditReader({ ...places, db }).recordsOf(tenant);
		expect(await pagesOf(source, { ...unfiltered, tenant, limit: 4 })).toEqual(ids);
	});

	it("between two pages, none is missing and none is there twice", async () => {
		const place = newPlace();
		const ids = await fill(place, 9);
		const tenant = tenantOf(place);
		const source = await createAuditReader(places).recordsOf(tenant);
		const query = { ...unfiltered, tenant, limit: 4 };
		expect(await pagesOf(source, query, () => drain(place))).toEqual(ids);
	});
});

describe("a part of the log that does not answer", () => {
	it("is not left out", async () => {
		const place = newPlace();
		await fill(place, 2);
		const tenant = tenantOf(place);
		const broken = {
			read: () => Promise.reject(new Error("gone")),
			head: () => Promise.reject(new Error("gone")),
		};
		const namespace = { getByName: () => broken } as unknown as DurableObjectNamespace;
		const reader = createAuditReader({ ...places, namespace });
		const source = await reader.recordsOf(tenant);
		const query = { ...unfiltered, tenant, before: null, limit: 5 };
		await expect(source.read(query)).rejects.toThrow(AuditUnreadable);
		await expect(reader.headsOf(tenant)).rejects.toThrow(AuditUnreadable);
	});

	it("takes no record before it is known to the coordinator", async () => {
		const place = newPlace();
		const append = joinAppends([newAppend(place)]);
		await runInDurableObject(objectAt(place), async (object) => {
			const rpc = { chainBegan: () => Promise.reject(new Error("gone")) };
			const gone = { ...env, COORDINATOR: { getByName: () => rpc } };
			Object.defineProperty(object, "env", { value: gone, configurable: true, writable: true });
			await expect(object.append(append, false)).rejects.toThrow();
			Object.defineProperty(object, "env", { value: env });
		});
		expect(await waitingIn(place)).toEqual([]);
		expect(await objectAt(place).append(append, false)).toBe("kept");
		expect(await services.coordinator.chains(tenantOf(place))).toHaveLength(1);
	});

	it("is known where the coordinator has lost what it knew of it", async () => {
		const place = newPlace();
		const ids = await fill(place, 3);
		await drain(place);
		await fill(place, 1);
		const forgetful = { chains: async () => [] };
		const reader = createAuditReader({ ...places, coordinator: forgetful });
		const { heads } = await reader.headsOf(tenantOf(place));
		expect(heads).toMatchObject([{ tenant: tenantOf(place), region: "enam", sequence: 4 }]);
		const source = await reader.recordsOf(tenantOf(place));
		const found = await pagesOf(source, { ...unfiltered, tenant: tenantOf(place), limit: 10 });
		expect(found).toHaveLength(4);
		expect(found).toEqual(expect.arrayContaining(ids));
	});

	it("is known from its first record on, though nothing of it has moved", async () => {
		const place = newPlace();
		const [id] = await fill(place, 1);
		const { heads } = await createAuditReader(places).headsOf(tenantOf(place));
		expect(heads).toMatchObject([
			{ tenant: tenantOf(place), region: "enam", shard: 0, sequence: 1 },
		]);
		const coordinated = await services.coordinator.chains(tenantOf(place));
		expect(coordinated).toEqual([{ id: heads[0]?.id, place: placeOfTests(tenantOf(place)) }]);
		expect(id).toBeDefined();
	});
});

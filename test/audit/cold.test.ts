import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ColdLogRpc, openCold, told } from "../../src/audit/cold.ts";
import { AuditUnreadable, newestFirst, type SourcedRecord } from "../../src/audit/source.ts";
import { DatabaseUnavailable } from "../../src/db/client.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";
import { archiveAll, dropDays, fill, keysUnder, newDay, services } from "./archive-support.ts";
import { unfiltered } from "./support.ts";

let tenant: Tenant;
let records: SourcedRecord[];

beforeAll(async () => {
	tenant = await newTenant();
	records = (await fill({ tenant: tenant.id, day: await newDay(1996) }, 20)).sort(newestFirst);
	await archiveAll();
}, 60_000);
afterAll(dropDays);

/** The other worker, where a method of its session answers otherwise. */
function failing(method: "read" | "open", run: () => never): ColdLogRpc {
	return {
		open: async () => {
			if (method === "open") run();
			return { read: () => told(run) } as never;
		},
	};
}

describe("the archive in a worker of its own", () => {
	it("tells what it has, in one session", async () => {
		const cold = services.cold();
		const query = { tenant: tenant.id, ...unfiltered, before: null, limit: 7 };
		const { records: first, reached } = await cold.read(query);
		const { records: second } = await cold.read({ ...query, before: reached });
		expect([...first, ...second]).toEqual(records.slice(0, 14));
		const { id } = records[0]?.record ?? { id: "" };
		expect(await cold.prove(tenant.id, id)).toMatchObject({ index: 19, records: 20 });
		expect(await cold.prove("nobody", id)).toBeNull();
	});

	it("tells a file that is another one from whatever else it may be that fails", async () => {
		const key = (await keysUnder(`audit/${tenant.id}/`)).find((one) => one.endsWith(".parquet"));
		const bytes = new Uint8Array((await (await env.ARCHIVE.get(key ?? ""))?.arrayBuffer()) ?? []);
		const ask = () =>
			services.cold().read({ tenant: tenant.id, ...unfiltered, before: null, limit: 100 });
		await env.ARCHIVE.put(key ?? "", bytes.with(100, (bytes[100] ?? 0) ^ 1));
		await expect(ask()).rejects.toThrow(
			new AuditUnreadable(`${key} is not what its manifest says`),
		);
		const answer = await tenant.call("GET", "/v1/audit");
		expect([answer.status, answer.json.code]).toEqual([503, "unavailable"]);
		await env.ARCHIVE.delete(key ?? "");
		await expect(ask()).rejects.toThrow(new AuditUnreadable(`${key} is not in the archive`));
		await env.ARCHIVE.put(key ?? "", bytes);
		expect((await ask()).records).toEqual(records);
	});

	it.each([
		["Postgres does not answer it", "read", new DatabaseUnavailable("archives.days: 57P01")],
		["it has a fault", "read", new TypeError("undefined is not a function")],
		["it is away", "open", new Error("the worker is gone")],
	] as const)("is unreadable, by name, where %s", async (_, method, error) => {
		const cold = openCold(
			failing(method, () => {
				throw error;
			}),
		);
		const query = { tenant: tenant.id, ...unfiltered, before: null, limit: 1 };
		const isDatabase = error instanceof DatabaseUnavailable;
		await expect(cold.read(query)).rejects.toThrow(
			isDatabase ? error : new AuditUnreadable(`the archive's worker: ${error.message}`),
		);
	});
});

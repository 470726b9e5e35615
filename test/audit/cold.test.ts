import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ColdLogRpc, openCold, told } from "../../src/audit/cold.ts";
import {
	AuditUnreadable,
	newestFirst,
	type SourcedRecord,
	unfiltered,
} from "../../src/audit/source.ts";
import { DatabaseUnavailable } from "../../src/db/client.ts";
import { exportAudit, getAuditRecordProof } from "../../src/routes/audit.ts";
import { serve } from "../../src/routes/serve.ts";
import { inBackground } from "../support/background.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";
import { archiveAll, dropDays, fill, keysUnder, newDay, services } from "./archive-support.ts";

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
		cold.close();
		await expect(cold.prove(tenant.id, id)).rejects.toThrow(AuditUnreadable);
	});

	it("is asked in one session for a request, which ends with it however it ends", async () => {
		const counts = { opened: 0, asked: 0, closed: 0 };
		const answer = async () => {
			counts.asked++;
			return { ok: true, value: { records: [], reached: null, days: [], before: null } };
		};
		const [read, expired] = [answer, answer];
		const session = { read, expired, prove: null, [Symbol.dispose]: () => counts.closed++ };
		const open = async () => {
			counts.opened++;
			return session as never;
		};
		const using = { ...services, cold: () => openCold({ open }) };
		const token = await tenant.token("admin");
		const ask = async (path: string) => {
			const headers = { Authorization: `Bearer ${token}` };
			const raw = new Request(`https://edgesign.test${path}`, { headers });
			const route = path.includes("export") ? exportAudit : getAuditRecordProof;
			const params = { record: path.split("/")[4] ?? "" };
			const response = await serve(route, using, raw, params, inBackground);
			await response.text();
			return response.status;
		};
		expect(await ask("/v1/audit/export")).toBe(200);
		expect(counts).toEqual({ opened: 1, asked: 2, closed: 1 });
		expect(await ask(`/v1/audit/records/${records[0]?.record.id}/proof`)).toBe(404);
		expect(counts).toEqual({ opened: 2, asked: 3, closed: 2 });
	});

	it("tells a file that is another one from whatever else it may be that fails", async () => {
		const key = (await keysUnder(`audit/${tenant.id}/`)).find((one) => one.endsWith(".parquet"));
		const bytes = new Uint8Array((await (await env.ARCHIVE.get(key ?? ""))?.arrayBuffer()) ?? []);
		const query = { tenant: tenant.id, ...unfiltered, before: null, limit: 100 };
		const ask = async () => {
			const cold = services.cold();
			return cold.read(query).finally(() => cold.close());
		};
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
		["DatabaseUnavailable", "Postgres", "read", new DatabaseUnavailable("archives.days: 57P01")],
		["AuditUnreadable", "R2", "read", new AuditUnreadable("a file: no answer in 100 ms")],
		["AuditUnreadable", "the worker", "open", new Error("the worker is gone")],
		["Error", "the code", "read", new TypeError("undefined is not a function")],
	] as const)("throws an %s where %s fails", async (name, _, method, error) => {
		const cold = openCold(
			failing(method, () => {
				throw error;
			}),
		);
		const query = { tenant: tenant.id, ...unfiltered, before: null, limit: 1 };
		const thrown = await cold.read(query).catch((one: Error) => one);
		const message = expect.stringContaining(error.message);
		expect(thrown).toMatchObject({ name, message });
	});
});

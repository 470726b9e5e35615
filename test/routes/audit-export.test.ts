import { env } from "cloudflare:workers";
import { beforeEach, expect, it } from "vitest";
import { ExportSlots } from "../../src/audit/export-slots.ts";
import { AuditUnreadable, type RecordSource } from "../../src/audit/source.ts";
import { concat } from "../../src/lib/bytes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import * as limits from "../../src/limits.ts";
import type { LogEvent } from "../../src/observe/log.ts";
import { streamOf } from "../../src/routes/export-stream.ts";
import { createServices, type Services } from "../../src/services.ts";
import { ask } from "../idempotency/support.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
let token: string;
beforeEach(async () => {
	tenant = await newTenant();
	token = await tenant.token("auditor");
});

/** A service whose log is this source; `logged` is what it says meanwhile. */
function serviceOf(source: RecordSource, exports?: ExportSlots) {
	const logged: LogEvent[] = [];
	const own = createServices(env);
	const services: Services = {
		...own,
		auditReader: { ...own.auditReader, recordsOf: async () => source },
		log: (event) => logged.push(event),
		exports: exports ?? own.exports,
	};
	return { services, logged };
}

function requestExport(services: Services, format = "ndjson") {
	return ask(services, { id: "exportAudit", query: { format }, token });
}

function readerOf({ body }: Response) {
	if (!body) throw new Error("an export has a body");
	return body.getReader();
}

async function exportOf(source: RecordSource, format: string) {
	const { services, logged } = serviceOf(source);
	return { reader: readerOf(await requestExport(services, format)), logged };
}

const nothing: RecordSource = { read: async () => ({ records: [], reached: null }) };
const bounds = { atOnce: 3, atOnceOfTenant: 2, beginMs: 60_000, idleMs: 60_000, silentMs: 60_000 };

it.each(["ndjson", "parquet"])(
	"an export as %s reads no more when its receiver is gone, though no record came of it yet",
	async (format) => {
		let reads = 0;
		const { reader, logged } = await exportOf(
			{
				async read() {
					reads++;
					await scheduler.wait(1);
					return { records: [], reached: "01900000-0000-7000-8000-000000000002" };
				},
			},
			format,
		);
		const pending = format === "ndjson" ? reader.read().then(() => reader.read()) : reader.read();
		pending.catch(() => {});
		while (reads < 5) await scheduler.wait(1);
		await reader.cancel();
		const before = reads;
		await scheduler.wait(50);
		expect(reads).toBeLessThanOrEqual(before + 1);
		expect(logged.filter(({ event }) => event === "export_failed")).toEqual([]);
	},
);

it("an export that fails in its middle is cut off, and the log says why", async () => {
	const { reader, logged } = await exportOf(
		{ read: () => Promise.reject(new AuditUnreadable("a file is gone")) },
		"ndjson",
	);
	expect(new TextDecoder().decode((await reader.read()).value)).toContain('"checkpoint"');
	await expect(reader.read()).rejects.toThrow();
	expect(logged).toEqual([
		expect.objectContaining({
			event: "export_failed",
			error: expect.stringContaining("a file is gone"),
		}),
	]);
});

it("an export whose token was revoked is cut off where it is, however slowly it is read", async () => {
	const { services, logged } = serviceOf(nothing);
	const reader = readerOf(await requestExport(services));
	expect(new TextDecoder().decode((await reader.read()).value)).toContain('"checkpoint"');
	const { tokens } = (await tenant.call("GET", "/v1/tokens")).json;
	const { id } = tokens.find(({ role }: { role: string }) => role === "auditor");
	const revoked = await tenant.call("DELETE", `/v1/tokens/${id}?fence=true`);
	expect(revoked.status).toBe(204);
	await expect(reader.read()).rejects.toThrow("invalid_token");
	const error = expect.stringContaining("invalid_token");
	expect(logged).toEqual([expect.objectContaining({ event: "export_failed", error })]);
	expect(services.exports.heldBytes).toBe(0);
});

it("an export goes on when the coordinator was away for a moment", async () => {
	const { services, logged } = serviceOf(nothing);
	const { leases } = services;
	let isAway = false;
	let refusals = 0;
	const term: typeof leases.term = async (of) => {
		if (!isAway) return leases.term(of);
		if (++refusals === 3) isAway = false;
		return { kind: "unavailable", retryMs: 0 };
	};
	const own = { term, termNow: (of: string) => (isAway ? null : leases.termNow(of)) };
	const bound = new Proxy(leases, {
		get(target, name) {
			const value: unknown = Reflect.get(name in own ? own : target, name);
			return typeof value === "function" ? value.bind(target) : value;
		},
	});
	const reader = readerOf(await requestExport({ ...services, leases: bound }));
	await reader.read();
	isAway = true;
	expect(new TextDecoder().decode((await reader.read()).value)).toContain('"end"');
	expect([refusals, logged]).toEqual([3, []]);
});

it("as many exports go on as there is memory for, and the next is told to come again", async () => {
	const { services } = serviceOf(nothing, new ExportSlots(systemClock, bounds));
	const [first, second] = [await requestExport(services), await requestExport(services, "parquet")];
	const refused = await requestExport(services);
	expect(refused.status).toBe(503);
	expect(refused.headers.get("retry-after")).toBe("10");
	expect(await refused.json()).toMatchObject({ code: "overloaded" });
	await readerOf(first).cancel();
	const next = await requestExport(services);
	expect(await next.text()).toContain('"end"');
	expect((await second.arrayBuffer()).byteLength).toBeGreaterThan(100);
	expect(services.exports.heldBytes).toBe(0);
});

it("HEAD is answered with the headers alone, and takes no place", async () => {
	const { services } = serviceOf(nothing, new ExportSlots(systemClock, bounds));
	const head = await ask(services, { method: "HEAD", id: "exportAudit", token });
	expect([head.status, head.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
	expect(await head.text()).toBe("");
	expect(services.exports.heldBytes).toBe(0);
});

it("what is read at once is sent in parts of a bounded size, and is whole", async () => {
	const texts = ["head\n", "x".repeat(2.5 * limits.auditExportSliceBytes), "", "ü".repeat(1_000)];
	async function* pieces() {
		yield* texts;
	}
	const slots = new ExportSlots(systemClock, bounds);
	const slot = slots.enter("t") ?? expect.fail("there is a place");
	let ends = 0;
	const stream = streamOf(pieces(), {
		...{ gone: new AbortController(), slot, idleMs: 60_000, refusal: async () => null },
		end: () => ends++,
		onFailure: (error) => expect.fail(String(error)),
	});
	const parts: Uint8Array[] = [];
	for await (const part of stream) parts.push(part);
	const [slice, sizes] = [limits.auditExportSliceBytes, parts.map(({ length }) => length)];
	expect(sizes).toEqual([5, slice, slice, slice / 2, 2_000]);
	expect(new TextDecoder().decode(concat(...parts))).toBe(texts.join(""));
	expect([ends, slots.heldBytes]).toEqual([1, 0]);
});

it("an export that fails has its place no longer", async () => {
	const source = { read: () => Promise.reject(new AuditUnreadable("a file is gone")) };
	const { services } = serviceOf(source, new ExportSlots(systemClock, bounds));
	await expect((await requestExport(services)).text()).rejects.toThrow();
	expect(services.exports.heldBytes).toBe(0);
});

it("an export that nobody takes is cut off, and the log says so", async () => {
	const slots = new ExportSlots(systemClock, { ...bounds, idleMs: 50 });
	const { services, logged } = serviceOf(nothing, slots);
	const reader = readerOf(await requestExport(services));
	await reader.read();
	while (slots.heldBytes > 0) await scheduler.wait(10);
	await expect(reader.read()).rejects.toThrow("took nothing for 50 ms");
	const error = expect.stringContaining("took nothing for 50 ms");
	expect(logged).toEqual([expect.objectContaining({ event: "export_failed", error })]);
});

it("a place is given away where nobody begins, or nobody says any more that it goes on", () => {
	let now = 0;
	const slots = new ExportSlots(() => now, { ...bounds, beginMs: 50, silentMs: 100 });
	const enter = () => slots.enter("t") !== null;
	slots.enter("t")?.keep();
	expect([enter(), enter()]).toEqual([true, false]);
	now = 50;
	expect(enter()).toBe(false);
	now = 51;
	expect([enter(), enter()]).toEqual([true, false]);
	now = 101;
	expect([enter(), enter()]).toEqual([true, false]);
});

it("a tenant leaves places for others", () => {
	const slots = new ExportSlots(systemClock, bounds);
	const entered = ["a", "a", "a", "b", "b"].map((tenant) => slots.enter(tenant));
	expect(entered.map(Boolean)).toEqual([true, true, false, true, false]);
	entered[0]?.leave();
	expect(["a", "b"].map((tenant) => slots.enter(tenant)).map(Boolean)).toEqual([true, false]);
});

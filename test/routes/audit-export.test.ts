import { env } from "cloudflare:workers";
import { beforeEach, expect, it } from "vitest";
import { AuditUnreadable, type RecordSource } from "../../src/audit/source.ts";
import type { LogEvent } from "../../src/observe/log.ts";
import { createServices, type Services } from "../../src/services.ts";
import { ask } from "../idempotency/support.ts";
import { newTenant } from "../support/tenant.ts";

let token: string;
beforeEach(async () => {
	token = await (await newTenant()).token("auditor");
});

/** An export of what this source has; `logged` is what the service says meanwhile. */
async function exportOf(source: RecordSource, format: string) {
	const logged: LogEvent[] = [];
	const own = createServices(env);
	const services: Services = {
		...own,
		auditReader: { ...own.auditReader, recordsOf: async () => source },
		log: (event) => logged.push(event),
	};
	const { body } = await ask(services, { id: "exportAudit", query: { format }, token });
	if (!body) throw new Error("an export has a body");
	return { reader: body.getReader(), logged };
}

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

import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { documentedRoutes as routes } from "../../openapi/routes.ts";
import { AuditUnavailable } from "../../src/audit/log.ts";
import { DatabaseUnavailable } from "../../src/db/client.ts";
import { deliverAudit } from "../../src/jobs/deliver-audit.ts";
import * as limits from "../../src/limits.ts";
import { createServices, type Services } from "../../src/services.ts";
import {
	ask,
	crashingBeforeFinish,
	letAttemptsStall,
	newIdempotencyKey,
	withStatement,
} from "../idempotency/support.ts";
import { exampleTenant, exampleTokenId } from "../support/fixtures.ts";
import { newKey } from "../support/keys.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";
import { breaksOf, recordsOf, type StoredRecord } from "./support.ts";

const writing = routes.filter((route) => route.permission?.endsWith(":write"));

/** Notes of a tenant's changes that wait to be settled. */
async function notesOf(tenant: string): Promise<Record<string, unknown>[]> {
	return ownerSql().query("select * from audit_outbox where tenant_id = $1", [tenant]);
}

/** As if a tenant's notes had waited for so long that their requests must have ended. */
async function letNotesWait(tenant: string): Promise<void> {
	await ownerSql().query(
		"update audit_outbox set created_at = created_at - make_interval(secs => $2) where tenant_id = $1",
		[tenant, limits.auditOutboxWaitSeconds + 1],
	);
}

function withoutLog(services = createServices(env)): Services {
	return {
		...services,
		audit: { ...services.audit, appendOnce: () => Promise.reject(new AuditUnavailable("gone")) },
	};
}

/** The records of one action. */
async function recordsFor(tenant: Tenant, action: string): Promise<StoredRecord[]> {
	const records = await recordsOf(tenant.id);
	expect(await breaksOf(tenant.id)).toEqual([]);
	return records.filter((record) => record.action === action);
}

describe.each(writing)("$method $path", (route) => {
	let tenant: Tenant;
	let token: string;
	let before: number;
	beforeAll(async () => {
		tenant = await exampleTenant();
		token = await tenant.token("admin");
		for (const enable_benchmarks of [false, true]) {
			const json = { benchmarking_config: { enable_benchmarks } };
			await tenant.call("PUT", "/v1/config", { json });
		}
		before = (await recordsFor(tenant, route.id)).length;
	});

	it("has one record when the log was away as it was made, which the job brings", async () => {
		const [example] = route.examples;
		const asked = { id: route.id, ...example, json: example?.body, token };
		const answer = await ask(withoutLog(), asked);
		expect(answer.status, await answer.text()).toBe(route.status);
		expect(await recordsFor(tenant, route.id)).toHaveLength(before);
		await letNotesWait(tenant.id);
		await deliverAudit(createServices(env));
		await deliverAudit(createServices(env));
		const records = (await recordsFor(tenant, route.id)).slice(before);
		const requestId = answer.headers.get("x-request-id");
		expect(records).toMatchObject([{ requestId, outcome: "ok", tenant: tenant.id }]);
		await deliverAudit(createServices(env));
		expect(await notesOf(tenant.id)).toEqual([]);
		expect(await recordsFor(tenant, route.id)).toHaveLength(before + 1);
	});
});

describe("a change", () => {
	let tenant: Tenant;
	let token: string;
	beforeEach(async () => {
		tenant = await newTenant();
		token = await tenant.token("admin");
	});

	it("has its record in the log when it is answered, and its note goes when Postgres has that", async () => {
		const key = await newKey(tenant, "ES256");
		const [record, ...more] = await recordsFor(tenant, "createKey");
		expect(more).toEqual([]);
		expect(record).toMatchObject({
			target: { id: key.id, name: key.name, version: 1, algorithm: "ES256" },
			outcome: "ok",
			input: null,
			signature: null,
		});
		expect(await notesOf(tenant.id)).toHaveLength(1);
		await deliverAudit(createServices(env));
		expect(await notesOf(tenant.id)).toEqual([]);
		expect(await recordsFor(tenant, "createKey")).toHaveLength(1);
	});

	it("says which version of a key or of the configuration it made, and which token", async () => {
		const key = await newKey(tenant);
		await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		await tenant.call("PUT", "/v1/config", { json: {} });
		const made = await tenant.call("POST", "/v1/tokens", { json: { name: "ci", role: "signer" } });
		await tenant.call("DELETE", `/v1/tokens/${made.json.id}`);
		const records = (await recordsOf(tenant.id)).slice(1);
		expect(records.map(({ action, target }) => [action, target])).toEqual([
			["rotateKey", { id: key.id, name: key.name, version: 2, algorithm: "Ed25519" }],
			["putConfig", { id: null, name: "", version: 1, algorithm: "" }],
			["createToken", { id: made.json.id, name: "ci", version: 0, algorithm: "" }],
			["revokeToken", { id: made.json.id, name: "ci", version: 0, algorithm: "" }],
		]);
	});

	it("whose commit was not heard of has its record, and none where there was no commit", async () => {
		for (const isMade of [true, false]) {
			const json = { name: `lost-${isMade}`, algorithm: "Ed25519" };
			const services = withStatement("keys.insert", async (run) => {
				if (isMade) await run();
				throw new DatabaseUnavailable("keys.insert: TimeoutError");
			});
			expect((await ask(services, { id: "createKey", json, token })).status).toBe(503);
		}
		await letNotesWait(tenant.id);
		await deliverAudit(createServices(env));
		const records = await recordsFor(tenant, "createKey");
		expect(records.map(({ target }) => target.name)).toEqual(["lost-true"]);
	});

	it("that was refused or changed nothing notes nothing", async () => {
		await tenant.call("DELETE", `/v1/tokens/${exampleTokenId}`);
		await tenant.call("PUT", "/v1/config", { json: {} });
		await tenant.call("PUT", "/v1/config", { json: {} });
		await newKey(tenant, "Ed25519", { name: "one" });
		await tenant.call("POST", "/v1/keys", { json: { name: "one", algorithm: "Ed25519" } });
		const records = await recordsOf(tenant.id);
		expect(records.map(({ action }) => action)).toEqual(["putConfig", "createKey"]);
		expect(await notesOf(tenant.id)).toHaveLength(2);
	});

	it("with an Idempotency-Key has one record, however often its attempts are cut off", async () => {
		const key = await newKey(tenant);
		const asked = { id: "rotateKey", params: { key: key.id }, key: newIdempotencyKey(), token };
		expect((await ask(withoutLog(crashingBeforeFinish()), asked)).status).toBe(503);
		await letAttemptsStall();
		expect((await ask(crashingBeforeFinish(), asked)).status).toBe(503);
		await letAttemptsStall();
		for (let repeat = 0; repeat < 2; repeat++) {
			expect((await ask(createServices(env), asked)).status).toBe(200);
		}
		await letNotesWait(tenant.id);
		await deliverAudit(createServices(env));
		expect(await recordsFor(tenant, "rotateKey")).toMatchObject([{ target: { version: 2 } }]);
	});

	it("is delivered though what is settled can not be taken away", async () => {
		const json = { name: "one", algorithm: "Ed25519" };
		await ask(withoutLog(), { id: "createKey", json, token: await tenant.token("admin") });
		await letNotesWait(tenant.id);
		const services = createServices(env);
		const query: typeof services.db.query = (statement, params) =>
			statement.name === "outbox.settle"
				? Promise.reject(new DatabaseUnavailable("outbox.settle"))
				: services.db.query(statement, params);
		const failing = { ...services, db: { ...services.db, query } };
		await expect(deliverAudit(failing)).rejects.toThrow("outbox.settle");
		expect(await recordsFor(tenant, "createKey")).toHaveLength(1);
	});

	it("is delivered though the object of another one does not answer", async () => {
		const other = await newTenant();
		for (const one of [other, tenant]) {
			const json = { name: "one", algorithm: "Ed25519" };
			await ask(withoutLog(), { id: "createKey", json, token: await one.token("admin") });
			await letNotesWait(one.id);
		}
		const services = createServices(env);
		const { audit } = services;
		const appendOnce: Services["audit"]["appendOnce"] = (call) =>
			call.place.startsWith(other.id)
				? Promise.reject(new AuditUnavailable("gone"))
				: audit.appendOnce(call);
		await expect(deliverAudit({ ...services, audit: { ...audit, appendOnce } })).rejects.toThrow(
			"gone",
		);
		expect(await recordsFor(tenant, "createKey")).toHaveLength(1);
		expect(await notesOf(other.id)).toHaveLength(1);
		await deliverAudit(services);
		expect(await recordsFor(other, "createKey")).toHaveLength(1);
	});
});

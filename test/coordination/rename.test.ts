import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Database, Statement } from "../../src/db/client.ts";
import { disableKey, rotateKey, updateKey } from "../../src/routes/keys.ts";
import { serve } from "../../src/routes/serve.ts";
import { createServices } from "../../src/services.ts";
import { inBackground } from "../support/background.ts";
import { newKey } from "../support/keys.ts";
import { newTenant, ownerSql } from "../support/tenant.ts";

/** The services of an isolate, in which somebody renames the key right before the first change of it is written. */
function renamedBefore(tenant: string, key: string, name: string) {
	const services = createServices(env);
	let isRenamed = false;
	const before = async (statement: Statement) => {
		if (isRenamed || !/^keys\.(update|move|rotate)$/.test(statement.name)) return;
		isRenamed = true;
		const rename = "update keys set name = $3 where tenant_id = $1 and id = $2";
		await ownerSql().query(rename, [tenant, key, name]);
	};
	const db: Database = {
		async query(statement, params) {
			await before(statement);
			return services.db.query(statement, params);
		},
		async transaction(calls) {
			for (const { statement } of calls) await before(statement);
			return services.db.transaction(calls);
		},
	};
	return { ...services, db };
}

describe.each([
	["is renamed", updateKey, { name: "apples" }],
	["is given tags", updateKey, { tags: { team: "a" } }],
	["is rotated", rotateKey, undefined],
	["is disabled", disableKey, undefined],
])("a key that %s while somebody else renames it", (_, route, body) => {
	it.each([
		["its id, is out of the scope of a token that its name let in", true, "key_out_of_scope"],
		["the name that it had, is none", false, "key_not_found"],
	])("by %s", async (_by, isById, code) => {
		const tenant = await newTenant();
		const key = await newKey(tenant, "Ed25519");
		const patch = { json: { name: "a1" } };
		expect((await tenant.call("PATCH", `/v1/keys/${key.id}`, patch)).status).toBe(200);
		const token = await tenant.token("admin", { keys: ["a*"] });
		const services = renamedBefore(tenant.id, key.id, "secret");
		const request = new Request(`https://edgesign.test${route.path}`, {
			method: route.method.toUpperCase(),
			headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
			...(body && { body: JSON.stringify(body) }),
		});
		const params = { key: isById ? key.id : "a1" };
		const answer = await serve(route, services, request, params, inBackground);
		expect(await answer.json()).toMatchObject({ code });
		const { json } = await tenant.call("GET", `/v1/keys/${key.id}`);
		expect(json).toMatchObject({ name: "secret", state: "enabled", version: 1, tags: {} });
	});
});

import { rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { withDatabase } from "../../local/database.ts";
import { migrate } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres } from "../../local/postgres.ts";
import { ensureAdmin } from "../../local/tenants.ts";
import { newDataDir } from "../support/node/data-dir.ts";

let dataDir: string;
let postgres: RunningPostgres;
beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	await migrate(postgres.url);
});
afterAll(async () => {
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

async function notes() {
	return withDatabase(postgres.url, async (client) => {
		const { rows } = await client.query(
			`select o.action, o.token_id, o.place, o.target_name, t.role from audit_outbox o
			left join tokens t on t.tenant_id = o.tenant_id and t.id = o.target_id
			where o.tenant_id = 'acme' order by o.action, o.target_name`,
		);
		return rows;
	});
}

it("what the operator makes is noted for the tenant's audit log, once and by no token", async () => {
	const admin = (tokenName: string, digit: string) =>
		ensureAdmin(postgres.url, { tenant: "acme", tokenName, tokenHash: digit.repeat(64) });
	const note = (action: string, target_name: string, role: string | null) => {
		return { action, token_id: null, place: "acme/enam/0", target_name, role };
	};
	expect(await admin("first", "a")).toBe(true);
	const made = [
		note("operator.createTenant", "acme", null),
		note("operator.createToken", "first", "admin"),
	];
	expect(await notes()).toEqual(made);
	expect(await admin("first", "a")).toBe(false);
	expect(await notes()).toEqual(made);
	expect(await admin("second", "b")).toBe(false);
	expect(await notes()).toEqual([...made, note("operator.createToken", "second", "admin")]);
});

it("a tenant that several make at once is one's, and the others get no token of it", async () => {
	const each = Array.from({ length: 5 }, (_, digit) => ({
		...{ tenant: "race", tokenName: "made", tokenHash: String(digit).repeat(64), onlyNew: true },
	}));
	const made = await Promise.all(each.map((admin) => ensureAdmin(postgres.url, admin)));
	expect(made.filter(Boolean)).toHaveLength(1);
	const { rows } = await withDatabase(postgres.url, (client) =>
		client.query(
			"select left(encode(secret_hash, 'hex'), 1) as by from tokens where tenant_id = 'race'",
		),
	);
	expect(rows).toEqual([{ by: String(made.indexOf(true)) }]);
});

import { env } from "cloudflare:workers";
import { placeNamed } from "../../src/audit/log.ts";
import { timeOf } from "../../src/audit/record.ts";
import { createCoordinators } from "../../src/ratelimit/coordinator.ts";
import { newTenant, ownerSql, type Tenant } from "./tenant.ts";

/** The token that the examples revoke. Token ids are unique in a tenant, so every tenant can have it. */
export const exampleTokenId = "01900000-0000-7000-8000-000000000001";

/** A record that stands for any other; its id is so old that it is in no day's partition. */
const exampleRecordId = "01900000-0000-7000-8000-000000000002";

const exampleKeys = [
	["payments", "Ed25519"],
	["legacy", "ES256"],
	["retired", "ES256"],
	["restorable", "ES256"],
] as const;

/** A tenant in which every example of the OpenAPI document works (src/routes: `examples`). */
export async function exampleTenant(): Promise<Tenant> {
	const tenant = await newTenant();
	for (const [name, algorithm] of exampleKeys) {
		await tenant.call("POST", "/v1/keys", { json: { name, algorithm } });
	}
	await tenant.call("DELETE", "/v1/keys/restorable");
	await tenant.token("verifier", { id: exampleTokenId });
	const sql = ownerSql();
	const first = "insert into config_versions (tenant_id, version, config) values ($1, 1, '{}')";
	await sql.query(first, [tenant.id]);
	await sql.query(
		`insert into audit_events (tenant_id, at, id, request_id, action, target_name, version, algorithm,
			address, cost, outcome, chain, sequence, link)
		select $1, 'epoch'::timestamptz + $2::bigint * interval '1 millisecond', $3, $3, 'createKey', 'old',
			1, 'ES256', '', 100, 'ok', $3, 1, decode(repeat('00', 32), 'hex')`,
		[tenant.id, timeOf({ id: exampleRecordId }), exampleRecordId],
	);
	// Its object has lost it since.
	const { chainBegan } = createCoordinators(env.COORDINATOR);
	await chainBegan(tenant.id, placeNamed(tenant.id, "weur", 0), exampleRecordId);
	await sql.query("insert into tenants (id) values ('main') on conflict do nothing");
	return tenant;
}

/** The path of an example with its parameters and query filled in. */
export function pathOf(
	path: string,
	params: Readonly<Record<string, string>> = {},
	query: Readonly<Record<string, string>> = {},
): string {
	const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
		encodeURIComponent(params[name] ?? name),
	);
	const search = new URLSearchParams(query).toString();
	return search === "" ? filled : `${filled}?${search}`;
}

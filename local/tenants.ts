import { systemClock } from "../src/lib/clock.ts";
import { systemRandom } from "../src/lib/random.ts";
import { uuidv7 } from "../src/lib/uuid.ts";
import { withDatabase } from "./database.ts";
import { Problem } from "./problem.ts";

export interface NewAdmin {
	readonly tenant: string;
	/** The token's SHA-256 in hexadecimal. */
	readonly tokenHash: string;
	readonly tokenName: string;
}

const tenantPattern = /^[a-z0-9][a-z0-9-]{0,31}$/;

export function checkTenantName(name: string): void {
	if (tenantPattern.test(name)) return;
	throw new Problem(
		`"${name}" can not name a tenant: 1 to 32 of a-z, 0-9 and "-", the first not "-"`,
	);
}

/**
 * Makes the tenant if it is not there, and its admin token if it is not there: both or neither.
 * @param databaseUrl of the owner of the schema
 * @returns whether the tenant is new
 */
export async function ensureAdmin(databaseUrl: string, admin: NewAdmin): Promise<boolean> {
	checkTenantName(admin.tenant);
	return withDatabase(databaseUrl, async (client) => {
		const { rows } = await client.query<{ made: boolean }>(
			`with tenant as (
				insert into tenants (id) values ($1) on conflict do nothing returning id
			), token as (
				insert into tokens (tenant_id, id, name, role, secret_hash)
				values ($1, $2, $3, 'admin', decode($4, 'hex'))
				on conflict (tenant_id, secret_hash) do nothing
			)
			select exists (select from tenant) as made`,
			[admin.tenant, uuidv7(systemClock, systemRandom), admin.tokenName, admin.tokenHash],
		);
		return rows[0]?.made === true;
	});
}

export async function tenantExists(databaseUrl: string, tenant: string): Promise<boolean> {
	return withDatabase(databaseUrl, async (client) => {
		const { rowCount } = await client.query("select 1 from tenants where id = $1", [tenant]);
		return rowCount === 1;
	});
}

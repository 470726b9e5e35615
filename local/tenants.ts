import { ownNote } from "../src/audit/own.ts";
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
	/** Makes nothing where the tenant is there, also if it came a moment ago. */
	readonly onlyNew?: boolean;
}

const tenantPattern = /^[a-z0-9][a-z0-9-]{0,31}$/;

export function checkTenantName(name: string): void {
	if (tenantPattern.test(name)) return;
	throw new Problem(
		`"${name}" can not name a tenant: 1 to 32 of a-z, 0-9 and "-", the first not "-"`,
	);
}

/**
 * Makes the tenant if it is not there, and its admin token if it is not there: both or neither, each
 * with its record in the tenant's audit log, which a cron run brings there.
 * @param databaseUrl of the owner of the schema
 * @returns whether the tenant is new
 */
export async function ensureAdmin(databaseUrl: string, admin: NewAdmin): Promise<boolean> {
	checkTenantName(admin.tenant);
	const sources = { clock: systemClock, random: systemRandom };
	const notes = (["operator.createTenant", "operator.createToken"] as const).map((action) =>
		ownNote(sources, admin.tenant, action),
	);
	return withDatabase(databaseUrl, async (client) => {
		const { rows } = await client.query<{ made: boolean }>(
			`with tenant as (
				insert into tenants (id) values ($1) on conflict do nothing returning id
			), token as (
				insert into tokens (tenant_id, id, name, role, secret_hash)
				select $1, $2::uuid, $3, 'admin', decode($4, 'hex')
				where not $10::boolean or exists (select from tenant)
				on conflict (tenant_id, secret_hash) do nothing returning id, name
			), noted as (
				insert into audit_outbox (tenant_id, id, at, place, request_id, action, address, cost,
					target_id, target_name)
				select $1, n.id, 'epoch'::timestamptz + n.at * interval '1 millisecond', n.place,
					n.request_id, n.action, '', 0, made.id, made.name
				from unnest($5::uuid[], $6::bigint[], $7::text[], $8::uuid[], $9::text[])
					as n (id, at, place, request_id, action)
				join (
					select ($9::text[])[1] as action, null::uuid as id, id as name from tenant
					union all select ($9::text[])[2], id, name from token
				) made on made.action = n.action
			)
			select exists (select from tenant) as made`,
			[
				...[admin.tenant, uuidv7(systemClock, systemRandom), admin.tokenName, admin.tokenHash],
				...[notes.map(({ id }) => id), notes.map(({ at }) => at)],
				...[notes.map(({ place }) => place), notes.map(({ requestId }) => requestId)],
				...[notes.map(({ action }) => action), admin.onlyNew === true],
			],
		);
		return rows[0]?.made === true;
	});
}

/** Whether a token lets somebody in: it is there, was not revoked, and has not expired. */
export async function isGoodToken(
	databaseUrl: string,
	tenant: string,
	tokenHash: string,
): Promise<boolean> {
	return withDatabase(databaseUrl, async (client) => {
		const { rowCount } = await client.query(
			`select 1 from tokens where tenant_id = $1 and secret_hash = decode($2, 'hex')
				and revoked_at is null and (expires_at is null or expires_at > now())`,
			[tenant, tokenHash],
		);
		return rowCount === 1;
	});
}

export async function tenantExists(databaseUrl: string, tenant: string): Promise<boolean> {
	return withDatabase(databaseUrl, async (client) => {
		const { rowCount } = await client.query("select 1 from tenants where id = $1", [tenant]);
		return rowCount === 1;
	});
}

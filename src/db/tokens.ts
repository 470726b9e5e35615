import type { RateLimit, Role } from "../model.ts";
import type { Call, Database, Statement } from "./client.ts";
import { iso, type Page } from "./columns.ts";

/** A token as Postgres answers it, without its hash. Times are ISO 8601 in UTC. */
export interface TokenRow {
	readonly id: string;
	readonly name: string;
	readonly role: Role;
	readonly key_patterns: readonly string[] | null;
	/** null, as is the window, for a token without a limit of its own. */
	readonly rate_quota: number | null;
	readonly rate_window_seconds: number | null;
	readonly created_at: string;
	readonly expires_at: string | null;
	readonly revoked_at: string | null;
}

export interface NewToken {
	readonly id: string;
	readonly name: string;
	readonly role: Role;
	/** SHA-256 of the whole token, in hexadecimal. */
	readonly hash: string;
	readonly keyPatterns: readonly string[] | null;
	/** The id of the token that makes it. */
	readonly createdBy: string;
	/** Seconds from now; null for a token that does not expire. */
	readonly expiresIn: number | null;
	readonly rateLimit: RateLimit | null;
}

const columns = `t.id, t.name, t.role, t.key_patterns, t.rate_quota, t.rate_window_seconds,
	${iso("t.created_at", "created_at")},
	${iso("t.expires_at", "expires_at")}, ${iso("t.revoked_at", "revoked_at")}`;

export const statements = {
	byHash: {
		name: "tokens.byHash",
		text: `select ${columns} from tokens t
			where t.tenant_id = $1 and t.secret_hash = decode($2, 'hex')`,
	},
	// The lock makes a revocation of the creator come wholly before or wholly after: without it, one that
	// is committed meanwhile would not be seen. It is not the lock that many could share, because then
	// who makes tokens without end could keep the revocation waiting for as long.
	insert: {
		name: "tokens.insert",
		effect: "id",
		target: { id: "id", name: "name" },
		with: `creator as (
				select id from tokens
				where tenant_id = $1 and id = $7 and revoked_at is null for no key update
			)`,
		text: `insert into tokens as t
				(tenant_id, id, name, role, secret_hash, key_patterns, created_by, expires_at,
					rate_quota, rate_window_seconds)
			select $1, $2, $3, $4, decode($5, 'hex'), $6::text[], creator.id,
				now() + make_interval(secs => $8), $9::integer, $10::integer
			from creator
			returning ${columns}`,
	},
	list: {
		name: "tokens.list",
		text: `select ${columns} from tokens t
			where t.tenant_id = $1 and t.id > $2 order by t.id limit $3`,
	},
	revoke: {
		name: "tokens.revoke",
		effect: "id",
		target: { id: "id", name: "name" },
		text: `update tokens t set revoked_at = coalesce(t.revoked_at, now())
			where t.tenant_id = $1 and t.id = $2 returning t.id, t.name`,
	},
} as const satisfies Record<string, Statement>;

export function rateLimitOf(row: TokenRow): RateLimit | null {
	const { rate_quota: quota, rate_window_seconds: windowSeconds } = row;
	return quota !== null && windowSeconds !== null ? { quota, windowSeconds } : null;
}

export async function findToken(
	db: Database,
	tenant: string,
	hash: string,
): Promise<TokenRow | null> {
	const { statement, params } = tokenByHash(tenant, hash);
	const rows = await db.query<TokenRow>(statement, params);
	return rows[0] ?? null;
}

/** For those who ask for more in the same round trip (db/together.ts). */
export function tokenByHash(tenant: string, hash: string): Call {
	return { statement: statements.byHash, params: [tenant, hash] };
}

/** null when the token that makes it is revoked. */
export async function insertToken(
	db: Database,
	tenant: string,
	token: NewToken,
): Promise<TokenRow | null> {
	const [row] = await db.query<TokenRow>(statements.insert, [
		tenant,
		token.id,
		token.name,
		token.role,
		token.hash,
		token.keyPatterns,
		token.createdBy,
		token.expiresIn,
		token.rateLimit?.quota ?? null,
		token.rateLimit?.windowSeconds ?? null,
	]);
	return row ?? null;
}

/** In the order of their ids, which is that of their making. */
export async function selectTokens(db: Database, tenant: string, page: Page): Promise<TokenRow[]> {
	return db.query<TokenRow>(statements.list, [tenant, page.after, page.size]);
}

/** Also true for a token that was revoked before: the wish is fulfilled. */
export async function markTokenRevoked(db: Database, tenant: string, id: string): Promise<boolean> {
	return (await db.query(statements.revoke, [tenant, id])).length > 0;
}

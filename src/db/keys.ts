import { isUuid } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import type { AlgorithmName, KeyState, PublicJwk } from "../model.ts";
import type { OutboxNote } from "./audit-outbox.ts";
import type { Call, Database, Param, Statement } from "./client.ts";
import { iso, type Page, type VersionPage } from "./columns.ts";

/** A key as Postgres answers it. Times are ISO 8601 in UTC. */
export interface KeyRow {
	readonly id: string;
	readonly name: string;
	readonly algorithm: AlgorithmName;
	readonly state: KeyState;
	readonly has_private: boolean;
	readonly current_version: number;
	readonly min_sign_version: number;
	readonly min_verify_version: number;
	readonly tags: Readonly<Record<string, string>>;
	readonly created_at: string;
	readonly updated_at: string;
	readonly delete_at: string | null;
}

/** `sealed` is base64; null with `kek_id` for a public-only key. */
export interface VersionRow {
	readonly version: number;
	readonly public_jwk: PublicJwk | null;
	readonly kek_id: string | null;
	readonly sealed: string | null;
	readonly version_created_at: string;
}

export interface NewVersion {
	readonly version: number;
	readonly publicJwk: PublicJwk | null;
	readonly kekId: string | null;
	readonly sealed: string | null;
}

export interface NewKey {
	readonly id: string;
	readonly name: string;
	readonly algorithm: AlgorithmName;
	readonly tags: Readonly<Record<string, string>>;
	readonly createdBy: string;
	readonly first: NewVersion;
}

export interface KeyFilter {
	readonly state?: KeyState | undefined;
	readonly algorithm?: AlgorithmName | undefined;
	readonly namePrefix?: string | undefined;
	/** Every one of these tags with this value. */
	readonly tags: Readonly<Record<string, string>>;
	/** LIKE patterns of which the name must match one; null for all. */
	readonly namePatterns: readonly string[] | null;
}

/** Fields of a change; undefined leaves the field as it is. */
export interface KeyChange {
	readonly name?: string | undefined;
	readonly tags?: Readonly<Record<string, string>> | undefined;
	readonly minSignVersion?: number | undefined;
	readonly minVerifyVersion?: number | undefined;
}

const keyColumns = `k.id, k.name, k.algorithm, k.state, k.has_private, k.current_version,
	k.min_sign_version, k.min_verify_version, k.tags, ${iso("k.created_at", "created_at")},
	${iso("k.updated_at", "updated_at")}, ${iso("k.delete_at", "delete_at")}`;

const versionColumns = `v.version, v.public_jwk, v.kek_id,
	replace(encode(v.sealed, 'base64'), E'\\n', '') as sealed, ${iso("v.created_at", "version_created_at")}`;

const keyTarget = { id: "id", name: "name", version: "current_version", algorithm: "algorithm" };

/** A key whose day of deletion has come is gone, whether or not the purge has met it yet. */
const alive = "(k.delete_at is null or k.delete_at > now())";

const byRef = (column: "id" | "name") => `
	select ${keyColumns}, ${versionColumns}
	from keys k
	join key_versions v on v.tenant_id = k.tenant_id and v.key_id = k.id
		and v.version > k.current_version - ${limits.keyVersionsLoaded}
	where k.tenant_id = $1 and k.${column} = $2 and ${alive}
	order by v.version desc`;

/** Every statement names the tenant first. */
export const statements = {
	byId: { name: "keys.byId", text: byRef("id") },
	byName: { name: "keys.byName", text: byRef("name") },
	version: {
		name: "keys.version",
		text: `select ${versionColumns} from key_versions v
			where v.tenant_id = $1 and v.key_id = $2 and v.version = $3`,
	},
	versions: {
		name: "keys.versions",
		text: `select v.version, ${iso("v.created_at", "version_created_at")} from key_versions v
			where v.tenant_id = $1 and v.key_id = $2 and ($3::int is null or v.version < $3)
			order by v.version desc limit $4`,
	},
	insert: {
		name: "keys.insert",
		effect: "id",
		target: keyTarget,
		with: `k as (
				insert into keys (tenant_id, id, name, algorithm, tags, created_by, has_private)
				values ($1, $2, $3, $4, $5::jsonb, $6, $9::text is not null)
				returning *
			), v as (
				insert into key_versions (tenant_id, key_id, version, public_jwk, kek_id, sealed)
				values ($1, $2, $7, $8::jsonb, $9, decode($10, 'base64'))
				returning *
			)`,
		text: `select ${keyColumns}, ${versionColumns} from k, v`,
	},
	rotate: {
		name: "keys.rotate",
		effect: "id",
		target: keyTarget,
		with: `k as (
				update keys set current_version = $3, updated_at = now()
				where tenant_id = $1 and id = $2 and current_version = $3 - 1 and state = $7 and name = $8
				returning *
			), v as (
				insert into key_versions (tenant_id, key_id, version, public_jwk, kek_id, sealed)
				select k.tenant_id, k.id, $3, $4::jsonb, $5, decode($6, 'base64') from k
				returning *
			)`,
		text: `select ${keyColumns}, ${versionColumns} from k, v`,
	},
	update: {
		name: "keys.update",
		effect: "id",
		target: keyTarget,
		text: `update keys k set
				name = coalesce($4, k.name),
				tags = coalesce($5::jsonb, k.tags),
				min_sign_version = coalesce($6, k.min_sign_version),
				min_verify_version = coalesce($7, k.min_verify_version),
				updated_at = now()
			where k.tenant_id = $1 and k.id = $2 and k.state = $3 and k.current_version = $8 and k.name = $9
			returning ${keyColumns}`,
	},
	move: {
		name: "keys.move",
		effect: "id",
		target: keyTarget,
		text: `update keys k set
				state = $4,
				delete_at = case when $4 = 'pending_deletion' then now() + make_interval(days => $5) end,
				updated_at = now()
			where k.tenant_id = $1 and k.id = $2 and k.state = $3 and k.current_version = $6 and k.name = $7 and ${alive}
			returning ${keyColumns}`,
	},
	list: {
		name: "keys.list",
		text: `select ${keyColumns} from keys k
			where k.tenant_id = $1 and k.id > $2 and ${alive}
				and ($3::text is null or k.state = $3)
				and ($4::text is null or k.algorithm = $4)
				and ($5::text is null or starts_with(k.name, $5))
				and k.tags @> $6::jsonb
				and ($7::text[] is null or k.name like any ($7))
			order by k.id limit $8`,
	},
	due: {
		name: "keys.due",
		text: `select tenant_id, count(*)::int as keys
			from (select tenant_id from keys where delete_at <= now() order by delete_at limit $1) due
			group by tenant_id`,
	},
	// The deletion of each with its record: neither is there without the other.
	purge: {
		name: "keys.purge",
		with: `due as (
				select *, row_number() over (order by id) as n from (
					select id, name, algorithm from keys where tenant_id = $1 and delete_at <= now()
					order by delete_at limit $2 for update skip locked) due
			), noted as (
				insert into audit_outbox (tenant_id, id, at, place, request_id, token_id, action, address,
					cost, target_id, target_name, algorithm)
				select $1, r.id, 'epoch'::timestamptz + $4::bigint * interval '1 millisecond',
					$5, $6::uuid, null, $7, '', 0, d.id, d.name, d.algorithm
				from due d join unnest($3::uuid[]) with ordinality as r (id, n) on r.n = d.n
			)`,
		text: `delete from keys k using due d where k.tenant_id = $1 and k.id = d.id returning k.id`,
	},
} as const satisfies Record<string, Statement>;

export type KeyWithVersions = KeyRow & { readonly versions: readonly VersionRow[] };

/** By id or by name, with its newest versions (limits.keyVersionsLoaded), newest first. */
export async function findKey(
	db: Database,
	tenant: string,
	ref: string,
): Promise<KeyWithVersions | null> {
	const { statement, params } = keyByRef(tenant, ref);
	return keyOf(await db.query<KeyRow & VersionRow>(statement, params));
}

/** For those who ask for more in the same round trip (db/together.ts). */
export function keyByRef(tenant: string, ref: string): Call {
	return { statement: isUuid(ref) ? statements.byId : statements.byName, params: [tenant, ref] };
}

/** Of the rows that keyByRef answers. */
export function keyOf(rows: readonly (KeyRow & VersionRow)[]): KeyWithVersions | null {
	const [first] = rows;
	if (!first) return null;
	const { version: _, public_jwk: _jwk, kek_id: _kek, sealed: _sealed, ...rest } = first;
	const { version_created_at: _at, ...row } = rest;
	return { ...row, versions: rows.map(versionOf) };
}

/** A page of a key's versions, without what they are. */
export async function selectVersions(
	db: Database,
	tenant: string,
	keyId: string,
	{ before, size }: VersionPage,
): Promise<Pick<VersionRow, "version" | "version_created_at">[]> {
	return db.query(statements.versions, [tenant, keyId, before, size]);
}

/** Without what all versions have in common, which travels once. */
function versionOf(row: VersionRow): VersionRow {
	const { version, public_jwk, kek_id, sealed, version_created_at } = row;
	return { version, public_jwk, kek_id, sealed, version_created_at };
}

export async function findVersion(
	db: Database,
	tenant: string,
	keyId: string,
	version: number,
): Promise<VersionRow | null> {
	const rows = await db.query<VersionRow>(statements.version, [tenant, keyId, version]);
	return rows[0] ?? null;
}

/** Key and first version together or neither. Throws the violation of `keys_by_name` when the name is taken. */
export async function insertKey(
	db: Database,
	tenant: string,
	key: NewKey,
): Promise<KeyWithVersions> {
	const rows = await db.query<KeyRow & VersionRow>(statements.insert, [
		tenant,
		key.id,
		key.name,
		key.algorithm,
		JSON.stringify(key.tags),
		key.createdBy,
		...versionParams(key.first),
	]);
	return withVersions(rows);
}

/** What a change was decided on, of a key. By its name it was found, and a token's patterns were held against that. */
type Decided = Pick<KeyRow, "id" | "name" | "state" | "current_version">;

/** null when the key is another one than was decided on; `next` is the version behind its current one. */
export async function insertVersion(
	db: Database,
	tenant: string,
	{ id, name, state }: Decided,
	next: NewVersion,
): Promise<KeyWithVersions | null> {
	const params = [tenant, id, ...versionParams(next), state, name];
	const rows = await db.query<KeyRow & VersionRow>(statements.rotate, params);
	return rows.length > 0 ? withVersions(rows) : null;
}

/** null when the key is another one than was decided on. Throws the violations of `keys_by_name` and `keys_minimum_versions`. */
export async function updateKey(
	db: Database,
	tenant: string,
	key: Decided,
	change: KeyChange,
): Promise<KeyRow | null> {
	const rows = await db.query<KeyRow>(statements.update, [
		tenant,
		key.id,
		key.state,
		change.name ?? null,
		change.tags ? JSON.stringify(change.tags) : null,
		change.minSignVersion ?? null,
		change.minVerifyVersion ?? null,
		key.current_version,
		key.name,
	]);
	return rows[0] ?? null;
}

/** null when the key is another one than was decided on. `days` counts only towards pending_deletion. */
export async function moveKey(
	db: Database,
	tenant: string,
	key: Decided,
	{ to, days }: { readonly to: KeyState; readonly days: number },
): Promise<KeyRow | null> {
	const params = [tenant, key.id, key.state, to, days, key.current_version, key.name];
	const rows = await db.query<KeyRow>(statements.move, params);
	return rows[0] ?? null;
}

/** In the order of their ids, after the id `after`. */
export async function selectKeys(
	db: Database,
	tenant: string,
	filter: KeyFilter,
	page: Page,
): Promise<KeyRow[]> {
	return db.query<KeyRow>(statements.list, [
		tenant,
		page.after,
		filter.state ?? null,
		filter.algorithm ?? null,
		filter.namePrefix ?? null,
		JSON.stringify(filter.tags),
		filter.namePatterns,
		page.size,
	]);
}

/** Tenants with keys whose day has come, and how many of the first `atMost` of all those are theirs. */
export async function dueKeys(db: Database, atMost: number): Promise<DueKeysRow[]> {
	return db.query<DueKeysRow>(statements.due, [atMost]);
}

interface DueKeysRow {
	readonly tenant_id: string;
	readonly keys: number;
}

/** Deletes a tenant's keys whose day has come, sealed secrets included, as a transaction that ends in time; how many. */
export async function purgeKeys(
	db: Database,
	tenant: string,
	{ ids, note }: PurgeNotes,
): Promise<number> {
	const { at, place, requestId, action } = note;
	const params = [tenant, ids.length, ids, at, place, requestId, action];
	const [purged] = await db.transaction([{ statement: statements.purge, params }]);
	return purged?.length ?? 0;
}

/** The records of a purge: what they have in common, and an id for each. */
export interface PurgeNotes {
	/** As many as there are keys to be deleted at the most; all of the note's time. */
	readonly ids: readonly string[];
	readonly note: Pick<OutboxNote, "at" | "place" | "requestId" | "action">;
}

function versionParams(version: NewVersion): Param[] {
	const jwk = version.publicJwk ? JSON.stringify(version.publicJwk) : null;
	return [version.version, jwk, version.kekId, version.sealed];
}

function withVersions(rows: readonly (KeyRow & VersionRow)[]): KeyWithVersions {
	const [first] = rows;
	if (!first) throw new Error("a statement that returns the key returned no row");
	return { ...first, versions: rows };
}

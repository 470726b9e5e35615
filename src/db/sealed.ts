import type { AlgorithmName } from "../model.ts";
import type { OutboxNote } from "./audit-outbox.ts";
import type { Database, Statement } from "./client.ts";

/** The sealed half of a key's version, in its place. `sealed` is base64. */
export interface SealedRow {
	readonly tenant_id: string;
	readonly key_id: string;
	readonly version: number;
	readonly algorithm: AlgorithmName;
	readonly sealed: string;
}

export const statements = {
	counts: {
		name: "sealed.counts",
		text: `select kek_id, count(*)::int as versions from key_versions
			where kek_id is not null group by kek_id order by kek_id`,
	},
	under: {
		name: "sealed.under",
		text: `select v.tenant_id, v.key_id, v.version, k.algorithm,
				replace(encode(v.sealed, 'base64'), E'\\n', '') as sealed
			from key_versions v
			join keys k on k.tenant_id = v.tenant_id and k.id = v.key_id
			where v.kek_id = $1 and (v.tenant_id, v.key_id, v.version) > ($2, $3::uuid, $4)
			order by v.tenant_id, v.key_id, v.version limit $5`,
	},
	// Written only where the old seal still stands: two runs at once do no harm. With a record for each
	// tenant: neither is there without the other.
	replace: {
		name: "sealed.replace",
		with: `replaced as (
				update key_versions v set kek_id = $2, sealed = decode(n.sealed, 'base64')
				from unnest($3::text[], $4::uuid[], $5::int[], $6::text[])
					as n (tenant_id, key_id, version, sealed)
				where v.tenant_id = n.tenant_id and v.key_id = n.key_id and v.version = n.version
					and v.kek_id = $1
				returning v.tenant_id, v.version
			), noted as (
				insert into audit_outbox (tenant_id, id, at, place, request_id, token_id, action, address,
					cost, target_name)
				select o.tenant_id, o.id, 'epoch'::timestamptz + o.at * interval '1 millisecond', o.place,
					o.request_id, null, o.action, '', 0, $2
				from unnest($7::text[], $8::uuid[], $9::bigint[], $10::text[], $11::uuid[], $12::text[])
					as o (tenant_id, id, at, place, request_id, action)
				where o.tenant_id in (select tenant_id from replaced)
			)`,
		text: "select version from replaced",
	},
} as const satisfies Record<string, Statement>;

/** How many sealed versions there are under each key-encryption key, over all tenants. */
export async function countSealed(db: Database): Promise<{ kekId: string; versions: number }[]> {
	type Row = { kek_id: string; versions: number };
	const rows = await db.query<Row>(statements.counts, []);
	return rows.map((row) => ({ kekId: row.kek_id, versions: row.versions }));
}

/** The next versions under a key-encryption key, in the order of their primary key. */
export async function sealedUnder(
	db: Database,
	kekId: string,
	after: Pick<SealedRow, "tenant_id" | "key_id" | "version">,
	atMost: number,
): Promise<SealedRow[]> {
	const params = [kekId, after.tenant_id, after.key_id, after.version, atMost];
	return db.query<SealedRow>(statements.under, params);
}

/** The beginning of each tenant's record. */
export interface RewrapNotes {
	readonly tenants: readonly string[];
	readonly notes: readonly OutboxNote[];
}

/** Puts new seals in the place of old ones, all in one statement; how many were still the old ones. */
export async function replaceSealed(
	db: Database,
	keks: { readonly from: string; readonly to: string },
	rows: readonly SealedRow[],
	{ tenants, notes }: RewrapNotes,
): Promise<number> {
	const replaced = await db.query(statements.replace, [
		keks.from,
		keks.to,
		rows.map((row) => row.tenant_id),
		rows.map((row) => row.key_id),
		rows.map((row) => String(row.version)),
		rows.map((row) => row.sealed),
		tenants,
		notes.map(({ id }) => id),
		notes.map(({ at }) => String(at)),
		notes.map(({ place }) => place),
		notes.map(({ requestId }) => requestId),
		notes.map(({ action }) => action),
	]);
	return replaced.length;
}

import type { AlgorithmName } from "../model.ts";
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
	// Written only where the old seal still stands: two runs at once do no harm.
	replace: {
		name: "sealed.replace",
		text: `update key_versions v set kek_id = $2, sealed = decode(n.sealed, 'base64')
			from unnest($3::text[], $4::uuid[], $5::int[], $6::text[])
				as n (tenant_id, key_id, version, sealed)
			where v.tenant_id = n.tenant_id and v.key_id = n.key_id and v.version = n.version
				and v.kek_id = $1
			returning v.version`,
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

/** Puts new seals in the place of old ones, all in one statement; how many were still the old ones. */
export async function replaceSealed(
	db: Database,
	from: string,
	to: string,
	rows: readonly SealedRow[],
): Promise<number> {
	const replaced = await db.query(statements.replace, [
		from,
		to,
		rows.map((row) => row.tenant_id),
		rows.map((row) => row.key_id),
		rows.map((row) => String(row.version)),
		rows.map((row) => row.sealed),
	]);
	return replaced.length;
}

import * as limits from "../limits.ts";
import type { AlgorithmName, PublicJwk } from "../model.ts";
import type { Database, Statement } from "./client.ts";

export interface PublishedRow {
	readonly id: string;
	readonly algorithm: AlgorithmName;
	readonly version: number;
	readonly public_jwk: PublicJwk;
}

export const statements = {
	published: {
		name: "keys.published",
		mayLag: true, // whoever reads it has it from caches that know no epoch
		// The current version of each key before an older one of any, and a key that is there before one that is made:
		// nobody takes another's out of the set. Some have many keys, and some many versions of one: cut twice before
		// versions are read, each by its name (`limit 1` holds the planner to that).
		text: `with own as (
				select id, algorithm, current_version, current_version - min_verify_version as older
				from keys where tenant_id = $1 and state = 'enabled' and has_private and algorithm = any ($3)
				order by id limit $2::int
			), wanted as (
				select id, algorithm, current_version - age as version
				from own cross join generate_series(0, least(older, $2::int - 1)) age
				order by age, id limit $2::int
			)
			select t.id as tenant, k.id, k.algorithm, k.version, k.public_jwk
			from tenants t
			left join lateral (
				select w.id, w.algorithm, w.version, v.public_jwk
				from wanted w cross join lateral (
					select public_jwk from key_versions
					where tenant_id = t.id and key_id = w.id and version = w.version
						and public_jwk is not null and sealed is not null
					limit 1) v) k on true
			where t.id = $1
			order by k.id desc, k.version desc`,
	},
} as const satisfies Readonly<Record<string, Statement>>;

/** The public half of every version of these algorithms that signed here; null when there is no such tenant. */
export async function publishedKeys(
	db: Database,
	tenant: string,
	of: readonly AlgorithmName[],
): Promise<PublishedRow[] | null> {
	const params = [tenant, limits.jwksKeys, of];
	const rows = await db.query<PublishedRow | { id: null }>(statements.published, params);
	return rows.length === 0 ? null : rows.filter((row) => row.id !== null);
}

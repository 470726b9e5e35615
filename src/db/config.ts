import type { Database, Statement } from "./client.ts";
import { iso, type VersionPage } from "./columns.ts";

/** A version without its content. Times are ISO 8601 in UTC. */
export interface ConfigVersionRow {
	readonly version: number;
	readonly created_at: string;
	/** The id of the token that wrote it. */
	readonly created_by: string | null;
	readonly note: string | null;
}

/** `config` is as it was stored, which may have been by another release. */
export interface ConfigRow extends ConfigVersionRow {
	readonly config: unknown;
}

export interface NewConfigVersion {
	readonly version: number;
	readonly config: object;
	readonly createdBy: string;
	readonly note: string | null;
}

const summary = `c.version, ${iso("c.created_at", "created_at")}, c.created_by, c.note`;

export const statements = {
	latest: {
		name: "config.latest",
		text: `select ${summary}, c.config from config_versions c
			where c.tenant_id = $1 order by c.version desc limit 1`,
	},
	byVersion: {
		name: "config.byVersion",
		text: `select ${summary}, c.config from config_versions c
			where c.tenant_id = $1 and c.version = $2`,
	},
	list: {
		name: "config.list",
		text: `select ${summary} from config_versions c
			where c.tenant_id = $1 and ($2::integer is null or c.version < $2)
			order by c.version desc limit $3`,
	},
	insert: {
		name: "config.insert",
		effect: "version",
		target: { version: "version" },
		text: `insert into config_versions as c (tenant_id, version, config, created_by, note)
			values ($1, $2, $3::jsonb, $4, $5)
			returning ${summary}, c.config`,
	},
} as const satisfies Record<string, Statement>;

export async function latestConfig(db: Database, tenant: string): Promise<ConfigRow | null> {
	const rows = await db.query<ConfigRow>(statements.latest, [tenant]);
	return rows[0] ?? null;
}

export async function configVersion(
	db: Database,
	tenant: string,
	version: number,
): Promise<ConfigRow | null> {
	const rows = await db.query<ConfigRow>(statements.byVersion, [tenant, version]);
	return rows[0] ?? null;
}

export async function selectConfigVersions(
	db: Database,
	tenant: string,
	page: VersionPage,
): Promise<ConfigVersionRow[]> {
	return db.query<ConfigVersionRow>(statements.list, [tenant, page.before, page.size]);
}

/** Throws the violation of `config_versions_pkey` when another writer was there first. */
export async function insertConfigVersion(
	db: Database,
	tenant: string,
	next: NewConfigVersion,
): Promise<ConfigRow> {
	const config = JSON.stringify(next.config);
	const params = [tenant, next.version, config, next.createdBy, next.note];
	const [row] = await db.query<ConfigRow>(statements.insert, params);
	if (!row) throw new Error("config.insert returned no row");
	return row;
}

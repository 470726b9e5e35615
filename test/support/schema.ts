import { env } from "cloudflare:workers";
import { createDatabase } from "../../src/db/client.ts";
import { toHex } from "../../src/lib/bytes.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { createServices, type Services } from "../../src/services.ts";
import { ownerSql } from "./tenant.ts";

const tables = [
	"tenants",
	"tokens",
	"keys",
	"key_versions",
	"spare_keys",
	"config_versions",
	"effects",
	"audit_events",
	"audit_chains",
	"audit_outbox",
	"audit_archive_days",
	"audit_archives",
	"audit_archive_files",
	"audit_late",
	"benchmark_turns",
	"benchmark_runs",
	"alerts",
	"usage_daily",
];

export interface OwnSchema {
	/** Of this schema, in which nobody else is. */
	readonly services: Services;
	/** Any statement in this schema. */
	query(text: string, params?: unknown[]): Promise<Record<string, unknown>[]>;
}

/**
 * The service over empty tables of its own in the same PostgreSQL, for tests of what belongs to no
 * tenant. They are copies of the real ones with their checks and indexes; foreign keys stay behind.
 */
export async function ownSchema(): Promise<OwnSchema> {
	const name = `test_${toHex(systemRandom(8))}`;
	const sql = ownerSql();
	const statements = [
		`create schema ${name}`,
		...tables.map((table) => `create table ${name}.${table} (like public.${table} including all)`),
	];
	// One block: the gateway keeps no connection on which something was defined.
	await sql.query(`do $$ begin ${statements.join("; ")}; end $$`);
	const databaseUrl = new URL(env.OWNER_DATABASE_URL);
	databaseUrl.searchParams.set("options", `-c search_path=${name}`);
	const db = createDatabase({ databaseUrl: databaseUrl.href, neonGateway: env.NEON_GATEWAY });
	return {
		services: { ...createServices(env), db },
		query: (text, params = []) =>
			db.query({ name: "test", text }, params as (string | number | null)[]),
	};
}

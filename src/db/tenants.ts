import type { Database, Statement } from "./client.ts";

export const statements = {
	// It reads, and is an effect all the same: what is cached is no row, and who changes that is on record.
	note: {
		name: "tenants.note",
		effect: "id",
		text: "select id from tenants where id = $1",
	},
	exists: { name: "tenants.exists", text: "select 1 as there from tenants where id = $1" },
} as const satisfies Record<string, Statement>;

export async function tenantExists(db: Database, tenant: string): Promise<boolean> {
	return (await db.query(statements.exists, [tenant])).length > 0;
}

/** Notes that what is cached of the tenant is forgotten, or loaded. */
export async function noteCaches(db: Database, tenant: string): Promise<void> {
	await db.query(statements.note, [tenant]);
}

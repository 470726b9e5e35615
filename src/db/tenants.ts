import type { Database, Statement } from "./client.ts";

const statements = {
	// It reads, and is an effect all the same: the epoch is no row, and its end has its record.
	purge: {
		name: "tenants.purge",
		effect: "id",
		text: "select id from tenants where id = $1",
	},
	exists: { name: "tenants.exists", text: "select 1 as there from tenants where id = $1" },
} as const satisfies Record<string, Statement>;

export async function tenantExists(db: Database, tenant: string): Promise<boolean> {
	return (await db.query(statements.exists, [tenant])).length > 0;
}

/** Notes that what is cached of the tenant is to be forgotten. */
export async function notePurge(db: Database, tenant: string): Promise<void> {
	await db.query(statements.purge, [tenant]);
}

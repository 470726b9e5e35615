import type { Database, Statement } from "./client.ts";

const statements = {
	exists: { name: "tenants.exists", text: "select 1 as there from tenants where id = $1" },
} as const satisfies Record<string, Statement>;

export async function tenantExists(db: Database, tenant: string): Promise<boolean> {
	return (await db.query(statements.exists, [tenant])).length > 0;
}

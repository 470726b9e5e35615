import { createHash } from "node:crypto";
import { withDatabase } from "../../../local/database.ts";

/** What a record has of a signature: its SHA-256, in hexadecimal. */
export function digestOf(signature: string): string {
	return createHash("sha256").update(Buffer.from(signature, "base64")).digest("hex");
}

/** Those of the digests that have a record in Postgres, sorted, as often as they have one. */
export async function recordedOf(
	databaseUrl: string,
	digests: readonly string[],
): Promise<string[]> {
	return withDatabase(databaseUrl, async (client) => {
		const { rows } = await client.query<{ digest: string }>(
			`select encode(signature, 'hex') as digest from audit_events
			where encode(signature, 'hex') = any($1) order by 1`,
			[digests],
		);
		return rows.map(({ digest }) => digest);
	});
}

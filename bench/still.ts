import { setTimeout as sleep } from "node:timers/promises";
import { withDatabase } from "../local/database.ts";

const stillMs = 1_500; // longer than records wait to be moved

/** How many records Postgres has, once there come no more. */
export async function untilStill(databaseUrl: string): Promise<number> {
	return withDatabase(databaseUrl, async (client) => {
		let count = -1;
		for (;;) {
			const query = "select count(*)::int as n from audit_events";
			const { rows } = await client.query<{ n: number }>(query);
			const now = rows[0]?.n ?? 0;
			if (now === count) return now;
			count = now;
			await sleep(stillMs);
		}
	});
}

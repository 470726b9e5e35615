import pg from "pg";
import { inOneLine, Problem } from "./problem.ts";

const connectTimeoutMs = 10_000;

/**
 * For our own server: `pg` takes from PG* variables whatever an address leaves open (PGSSLMODE, PGOPTIONS), and
 * those are of another server of the user's. What is started from here does not have them either.
 */
export function forgetOtherServers(): void {
	for (const name of Object.keys(process.env))
		if (/^PG[A-Z_]+$/.test(name)) delete process.env[name];
}

/** One connection for the length of `work`. @throws Problem when the database does not answer */
export async function withDatabase<T>(
	url: string,
	work: (client: pg.Client) => Promise<T>,
): Promise<T> {
	const client = new pg.Client({
		connectionString: url,
		connectionTimeoutMillis: connectTimeoutMs,
	});
	client.on("error", () => {}); // the query that was under way rejects with it
	try {
		await client.connect();
	} catch (error) {
		throw new Problem(`the database does not answer: ${inOneLine(error)}`, { cause: error });
	}
	try {
		return await work(client);
	} finally {
		await client.end();
	}
}

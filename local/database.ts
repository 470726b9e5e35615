import pg from "pg";
import { inOneLine, Problem } from "./problem.ts";

const connectTimeoutMs = 10_000;

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

import type { PublicJwk } from "../model.ts";
import type { Database, Statement } from "./client.ts";

/** An RSA key made ahead, sealed for its own row. `sealed` is base64. */
export interface SpareRow {
	readonly id: string;
	readonly public_jwk: PublicJwk;
	readonly kek_id: string;
	readonly sealed: string;
}

export const statements = {
	take: {
		name: "spares.take",
		text: `delete from spare_keys s where (s.modulus_length, s.id) = (
				select c.modulus_length, c.id from spare_keys c
				where c.modulus_length = $1 order by c.id limit 1 for update skip locked)
			returning s.id, s.public_jwk, s.kek_id, replace(encode(s.sealed, 'base64'), E'\\n', '') as sealed`,
	},
	count: {
		name: "spares.count",
		text: `select modulus_length, count(*)::int as spares from spare_keys group by modulus_length`,
	},
	insert: {
		name: "spares.insert",
		text: `insert into spare_keys (modulus_length, id, public_jwk, kek_id, sealed)
			values ($1, $2, $3::jsonb, $4, decode($5, 'base64'))`,
	},
	dropOld: {
		name: "spares.dropOld",
		text: `delete from spare_keys where kek_id <> $1 returning id`,
	},
} as const satisfies Record<string, Statement>;

/** A row is taken once, by whoever deletes it. */
export async function takeSpare(db: Database, modulusLength: number): Promise<SpareRow | null> {
	return (await db.query<SpareRow>(statements.take, [modulusLength]))[0] ?? null;
}

/** How many wait, by the length of their modulus. */
export async function countSpares(db: Database): Promise<Map<number, number>> {
	type Row = { modulus_length: number; spares: number };
	const rows = await db.query<Row>(statements.count, []);
	return new Map(rows.map((row) => [row.modulus_length, row.spares]));
}

export async function insertSpare(
	db: Database,
	modulusLength: number,
	spare: SpareRow,
): Promise<void> {
	const jwk = JSON.stringify(spare.public_jwk);
	const params = [modulusLength, spare.id, jwk, spare.kek_id, spare.sealed];
	await db.query(statements.insert, params);
}

/** Those not under this key-encryption key: made anew rather than rewrapped; how many. */
export async function dropOldSpares(db: Database, newestKekId: string): Promise<number> {
	return (await db.query(statements.dropOld, [newestKekId])).length;
}

import type { Database } from "./client.ts";
import { type KeyRow, type KeyWithVersions, keyByRef, keyOf, type VersionRow } from "./keys.ts";
import { type TokenRow, tokenByHash } from "./tokens.ts";

/** What isolates read of a tenant again and again: a token by its hash, or a key by its id or name. */
export interface Wanted {
	readonly kind: "token" | "key";
	readonly name: string;
}

/** A token's row, or a key's with its newest versions. */
export type Found = TokenRow | KeyWithVersions;

/** A row that was not asked for, and will be. */
export interface Warmed {
	readonly name: string;
	readonly row: KeyWithVersions;
}

/** What a reading for others answers: `missing` where there is no row, `unavailable` where Postgres did not tell. */
export type LoadAnswer = { readonly row: Found } | "missing" | "unavailable";

/** All of them in one round trip, in their order; null for what is not there. */
export async function readTogether(
	db: Database,
	tenant: string,
	wanted: readonly Wanted[],
): Promise<(Found | null)[]> {
	const calls = wanted.map(({ kind, name }) =>
		kind === "token" ? tokenByHash(tenant, name) : keyByRef(tenant, name),
	);
	const [only] = calls;
	if (!only) return [];
	const answers =
		calls.length === 1
			? [await db.query<Record<string, unknown>>(only.statement, only.params)]
			: await db.transaction(calls);
	return wanted.map(({ kind }, index) => {
		const rows = answers[index] ?? [];
		if (kind === "key") return keyOf(rows as unknown as (KeyRow & VersionRow)[]);
		return (rows[0] as unknown as TokenRow | undefined) ?? null;
	});
}

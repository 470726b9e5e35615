import * as limits from "../limits.ts";
import { type Database, isUniqueViolation, type Param, type Statement } from "./client.ts";

/** One attempt at a request that must have its effect once. */
export interface EffectMark {
	/** Of the request: the same for all its attempts. A UUID. */
	readonly id: string;
	/** From 1. */
	readonly attempt: number;
}

export const statements = {
	// Waits for an attempt whose statement is under way: then its row is there, or never will be.
	shut: {
		name: "effects.shut",
		text: `insert into effects (tenant_id, id, attempt)
			select $1::text, $2::uuid, n from generate_series(1, $3::int - 1) n
			on conflict do nothing`,
	},
	find: {
		name: "effects.find",
		text: `select resource from effects
			where tenant_id = $1 and id = $2 and resource is not null limit 1`,
	},
	// By their places, as the other purges do: a join by the key would read the whole table for them.
	purge: {
		name: "effects.purge",
		text: `delete from effects where ctid = any(array(
				select ctid from effects
				where created_at < now() - make_interval(hours => $1)
				order by created_at limit $2))
			returning tenant_id`,
	},
} as const satisfies Record<string, Statement>;

/**
 * The database for one attempt: a statement with an effect writes its mark in the same breath, so
 * that there is no moment at which one of them is there without the other. A statement that changed
 * nothing leaves no mark. null for requests that may have no effect.
 */
export function withEffect(db: Database, mark: EffectMark | null): Database {
	let done = false;

	function marked(statement: Statement, params: readonly Param[]) {
		if (!statement.effect) return { statement, params };
		if (!mark) throw new Error(`${statement.name} has an effect, and its route has no "again"`);
		// A second one would be refused as if another attempt had made it.
		if (done) throw new Error(`${statement.name}: the request had its one effect already`);
		return { statement: withMark(statement, params.length), params: [...params, ...values(mark)] };
	}

	function note(statement: Statement, rows: readonly unknown[]): void {
		if (statement.effect && rows.length > 0) done = true;
	}

	return {
		async query<Row>(statement: Statement, params: readonly Param[]) {
			const call = marked(statement, params);
			const rows = await db.query<Row>(call.statement, call.params);
			note(statement, rows);
			return rows;
		},
		async transaction(calls) {
			const results = await db.transaction(
				calls.map(({ statement, params }) => marked(statement, params)),
			);
			for (const [index, { statement }] of calls.entries()) note(statement, results[index] ?? []);
			return results;
		},
	};
}

/** What an attempt finds instead of making its effect, when a later one has shut its door. */
export function isShut(error: unknown): boolean {
	return isUniqueViolation(error, "effects_pkey");
}

/**
 * Shuts the door behind every earlier attempt, and answers what one of them has made or changed;
 * null when none had an effect, and then none will.
 */
export async function shutEarlier(
	db: Database,
	tenant: string,
	{ id, attempt }: EffectMark,
): Promise<string | null> {
	// Two statements: the second sees what the first has waited for.
	const [, found] = await db.transaction([
		{ statement: statements.shut, params: [tenant, id, attempt] },
		{ statement: statements.find, params: [tenant, id] },
	]);
	const resource = found?.[0]?.resource;
	return typeof resource === "string" ? resource : null;
}

/** Deletes marks that no attempt can ask for any more; how many. */
export async function purgeEffects(db: Database, atMost: number): Promise<number> {
	return (await db.query(statements.purge, [limits.effectsKeptHours, atMost])).length;
}

/** The tenant is the first parameter of every statement; the mark's are the two last. */
function withMark(statement: Statement, paramCount: number): Statement {
	const { name, text, effect } = statement;
	const steps = statement.with === undefined ? "" : `${statement.with}, `;
	return {
		name,
		with: `${steps}answer as (${text}), mark as (
				insert into effects (tenant_id, id, attempt, resource)
				select $1::text, $${paramCount + 1}::uuid, $${paramCount + 2}::int, answer.${effect}::text
				from answer
			)`,
		text: "select * from answer",
	};
}

function values({ id, attempt }: EffectMark): Param[] {
	return [id, attempt];
}

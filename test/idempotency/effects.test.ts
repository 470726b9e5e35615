import { beforeAll, describe, expect, it } from "vitest";
import { isUniqueViolation } from "../../src/db/client.ts";
import { isShut, purgeEffects, shutEarlier, withEffect } from "../../src/db/effects.ts";
import { purgeOldEffects } from "../../src/jobs/purge-effects.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import * as limits from "../../src/limits.ts";
import { type OwnSchema, ownSchema } from "../support/schema.ts";

let schema: OwnSchema;
beforeAll(async () => {
	schema = await ownSchema();
	await schema.query("create table things (tenant_id text, name text primary key, color text)");
});

const newId = () => uuidv7(systemClock, systemRandom);

const statements = {
	insert: {
		name: "things.insert",
		effect: "name",
		text: "insert into things (tenant_id, name, color) values ($1, $2, $3) returning name",
	},
	/** With a step that changes rows before the text, as keys.rotate has one. */
	paint: {
		name: "things.paint",
		effect: "name",
		with: "t as (update things set color = $3 where tenant_id = $1 and name = $2 and color = $4 returning *)",
		text: "select name, color from t",
	},
	list: { name: "things.list", text: "select name, color from things where tenant_id = $1" },
} as const;

const thing = () => ({ tenant: "acme", name: newId(), effect: newId() });

function insert(name: string, effect: string, attempt: number) {
	return withEffect(schema.services.db, { id: effect, attempt }).query(statements.insert, [
		"acme",
		name,
		"red",
	]);
}

function marks(effect: string) {
	return schema.query("select attempt, resource from effects where id = $1 order by attempt", [
		effect,
	]);
}

/** Whether a statement with the effect's id in its text waits in pg_sleep. */
async function isAsleep(effect: string): Promise<boolean> {
	const query = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and query like $1";
	return (await schema.query(query, [`%${effect}%`])).length > 0;
}

describe("a statement with an effect", () => {
	it("answers as it does without a mark, and leaves the mark", async () => {
		const { name, effect } = thing();
		expect(await insert(name, effect, 1)).toEqual([{ name }]);
		expect(await marks(effect)).toEqual([{ attempt: 1, resource: name }]);
		const db = withEffect(schema.services.db, { id: newId(), attempt: 1 });
		expect(await db.query(statements.paint, ["acme", name, "blue", "red"])).toEqual([
			{ name, color: "blue" },
		]);
	});

	it("leaves no mark when it changed nothing, and may then be tried again", async () => {
		const { name, effect } = thing();
		await insert(name, newId(), 1);
		const db = withEffect(schema.services.db, { id: effect, attempt: 1 });
		expect(await db.query(statements.paint, ["acme", name, "blue", "green"])).toEqual([]);
		expect(await marks(effect)).toEqual([]);
		expect(await db.query(statements.paint, ["acme", name, "blue", "red"])).toHaveLength(1);
		expect(await marks(effect)).toEqual([{ attempt: 1, resource: name }]);
	});

	it("leaves no mark when it is refused, and says what refused it", async () => {
		const { name, effect } = thing();
		await insert(name, newId(), 1);
		const refused = await insert(name, effect, 1).catch((error: unknown) => error);
		expect(isUniqueViolation(refused, "things_pkey")).toBe(true);
		expect(isShut(refused)).toBe(false);
		expect(await marks(effect)).toEqual([]);
	});

	it("is refused as a whole when its attempt was shut out", async () => {
		const { name, effect } = thing();
		const { db } = schema.services;
		expect(await shutEarlier(db, "acme", { id: effect, attempt: 3 })).toBeNull();
		for (const attempt of [1, 2]) {
			const refused = await insert(name, effect, attempt).catch((error: unknown) => error);
			expect(isShut(refused)).toBe(true);
		}
		expect(await schema.query("select 1 from things where name = $1", [name])).toEqual([]);
		expect(await insert(name, effect, 3)).toEqual([{ name }]);
	});

	it("is the only one of its request, in a transaction too", async () => {
		const { name, effect } = thing();
		const db = withEffect(schema.services.db, { id: effect, attempt: 1 });
		await db.transaction([
			{ statement: statements.list, params: ["acme"] },
			{ statement: statements.insert, params: ["acme", name, "red"] },
		]);
		expect(await marks(effect)).toEqual([{ attempt: 1, resource: name }]);
		await expect(db.query(statements.insert, ["acme", newId(), "red"])).rejects.toThrow(
			"had its one effect already",
		);
	});

	it("is a fault where no effect may be; one without an effect is not", async () => {
		const db = withEffect(schema.services.db, null);
		await expect(db.query(statements.insert, ["acme", newId(), "red"])).rejects.toThrow(
			'things.insert has an effect, and its route has no "again"',
		);
		expect(await db.query(statements.list, ["nobody"])).toEqual([]);
	});
});

describe("a later attempt", () => {
	it("finds what an earlier one did", async () => {
		const { name, effect } = thing();
		await insert(name, effect, 1);
		const { db } = schema.services;
		expect(await shutEarlier(db, "acme", { id: effect, attempt: 2 })).toBe(name);
		expect(await shutEarlier(db, "acme", { id: effect, attempt: 5 })).toBe(name);
		expect(await shutEarlier(db, "other", { id: effect, attempt: 2 })).toBeNull();
	});

	it("waits for one that is under way, and finds it or shuts it out", async () => {
		for (const ending of ["commit", "rollback"]) {
			const { name, effect } = thing();
			const mark = { id: effect, attempt: 1 };
			// The first attempt's statement has run, and its transaction takes its time to end.
			const slow = withEffect(schema.services.db, mark).transaction([
				{ statement: statements.insert, params: ["acme", name, "red"] },
				{ statement: { name: "test", text: `select pg_sleep(1) /* ${effect} */` }, params: [] },
				{
					statement: {
						name: "test",
						text: ending === "commit" ? "select 1" : "select 1 / (select 0)",
					},
					params: [],
				},
			]);
			let isOver = false;
			const ended = slow
				.then(
					() => "commit",
					() => "rollback",
				)
				.finally(() => {
					isOver = true;
				});
			// One that a busy machine has missed is over: what is found is the same.
			await expect.poll(async () => isOver || (await isAsleep(effect))).toBe(true);
			const found = await shutEarlier(schema.services.db, "acme", { id: effect, attempt: 2 });
			expect(await ended).toBe(ending);
			expect(found).toBe(ending === "commit" ? name : null);
		}
	});

	it("and the one that it replaces never both succeed, in whatever order they come", async () => {
		for (let round = 0; round < 20; round++) {
			const { name, effect } = thing();
			const { db } = schema.services;
			const second = async () => {
				const mark = { id: effect, attempt: 2 };
				const found = await shutEarlier(db, "acme", mark);
				return found === null ? insert(`${name}-2`, effect, 2) : "found";
			};
			await Promise.all([insert(`${name}-1`, effect, 1).catch(() => "shut"), second()]);
			const made = await schema.query("select name from things where name like $1", [`${name}%`]);
			expect(made).toHaveLength(1);
		}
	});
});

describe("the purge of effects", () => {
	it("deletes those that no attempt can ask for any more, in bounded pieces", async () => {
		await schema.query("truncate effects");
		const { db } = schema.services;
		const add = (hours: number, count: number) =>
			schema.query(
				`insert into effects (tenant_id, id, attempt, created_at)
				select 'acme', gen_random_uuid(), 1, now() - make_interval(hours => $1)
				from generate_series(1, $2)`,
				[hours, count],
			);
		await add(limits.effectsKeptHours + 1, 5);
		await add(limits.effectsKeptHours - 1, 3);
		expect(await purgeEffects(db, 2)).toBe(2);
		expect(await purgeOldEffects({ db })).toBe(3);
		expect(await purgeOldEffects({ db })).toBe(0);
		expect(await schema.query("select 1 from effects")).toHaveLength(3);
	});

	it("keeps them for longer than a key can come again", () => {
		const hours = (limits.idempotencyKeptMs + limits.idempotencyRunningMs) / 3_600_000;
		expect(limits.effectsKeptHours).toBeGreaterThan(hours + 1);
	});
});

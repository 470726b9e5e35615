import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { type EventKind, insertEvents } from "../../src/db/audit-events.ts";
import { keyByRef } from "../../src/db/keys.ts";
import { ok } from "../../src/lib/result.ts";
import * as limits from "../../src/limits.ts";
import type { LogEvent } from "../../src/observe/log.ts";
import { publicRoute } from "../../src/routes/route.ts";
import { serve } from "../../src/routes/serve.ts";
import { listUsage } from "../../src/routes/usage.ts";
import { createServices } from "../../src/services.ts";
import { expectProblem } from "../support/answers.ts";
import { inBackground } from "../support/background.ts";
import { newKey } from "../support/keys.ts";
import { type Answer, newTenant, type Tenant } from "../support/tenant.ts";

const { db } = createServices(env);
const dayMs = 24 * 3600 * 1000;
const noon = Math.floor(Date.now() / dayMs) * dayMs + dayMs / 2;
const dayAgo = (days: number) => new Date(noon - days * dayMs).toISOString().slice(0, 10);
const uuid = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const [first, second] = [uuid(1), uuid(2)];

let tenant: Tenant;
beforeEach(async () => {
	tenant = await newTenant();
});

interface Deed {
	readonly daysAgo?: number;
	readonly targetId?: string | null;
	readonly action?: string;
	readonly outcome?: string;
	/** Only what is there has one. */
	readonly targetName?: string;
}

/** Brings records to Postgres as an object of the log does. */
async function move(of: Tenant, deeds: readonly Deed[], chain = 1): Promise<void> {
	const kinds = deeds.map(
		({
			targetId = first,
			action = "sign",
			outcome = "ok",
			targetName = "payments",
		}): EventKind => ({
			...{ tokenId: null, action, targetId, targetName, version: 1, algorithm: "Ed25519" },
			...{ address: "", inputKind: null, cost: 100, outcome },
		}),
	);
	await insertEvents(
		db,
		{ tenant: of.id, id: uuid(chain), region: "weur", shard: 0 },
		{
			bytes: Uint8Array.from({ length: 128 * deeds.length }, (_, at) => (at >> 7) + chain),
			kinds,
			kindOf: deeds.map((_, index) => index),
			times: deeds.map(({ daysAgo = 0 }) => noon - daysAgo * dayMs),
			firstSequence: 1,
		},
	);
}

const none = { signatures: 0, invalid: 0, refused: 0, changes: 0 };

describe("GET /v1/usage", () => {
	it("has nothing for a tenant that did nothing", async () => {
		const { status, json } = await tenant.call("GET", "/v1/usage");
		expect(status).toBe(200);
		expect(json).toEqual({ usage: [], nextCursor: null });
	});

	it("is what it was for some seconds, tells its age, and is anew when they are over", async () => {
		let now = Date.now();
		const services = createServices(env, () => now);
		const [token, other] = [await tenant.token("admin"), await newTenant()];
		const usage = async (of: string) => {
			const headers = { Authorization: `Bearer ${of}` };
			const request = new Request("https://edgesign.test/v1/usage", { headers });
			const answer = await serve(listUsage, services, request, {}, inBackground);
			const { usage } = await answer.json<{ usage: { signatures: number }[] }>();
			return [usage[0]?.signatures ?? 0, answer.headers.get("age")];
		};
		await move(tenant, [{}]);
		expect(await usage(token)).toEqual([1, "0"]);
		await move(tenant, [{}], 2);
		now += 3_000;
		expect(await usage(token)).toEqual([1, "3"]);
		expect(await usage(await other.token("admin"))).toEqual([0, "0"]);
		now += limits.cacheResultsTtlMs;
		expect(await usage(token)).toEqual([2, "0"]);
	});

	it("counts what was done on each day, by what it was", async () => {
		await move(tenant, [
			{},
			{ action: "signBatch", targetId: second },
			{ action: "verify", outcome: "invalid" },
			{ outcome: "key_disabled" },
			{ action: "rotateKey" },
			{ daysAgo: 1, action: "putConfig", targetId: null },
		]);
		const { json } = await tenant.call("GET", "/v1/usage");
		expect(json.usage).toEqual([
			{
				...{ day: dayAgo(0), targetId: null },
				...{ signatures: 2, invalid: 1, refused: 1, changes: 1, cost: 5 },
			},
			{ ...none, day: dayAgo(1), targetId: null, changes: 1, cost: 1 },
		]);
	});

	it("takes records that name whatever the caller chose, and counts those of no target", async () => {
		const chosen = ["ffffffff-ffff-ffff-ffff-ffffffffffff", uuid(0), second];
		const refused = { action: "rotateKey", outcome: "role_forbidden", targetName: "" };
		await move(tenant, [{}, ...chosen.map((targetId) => ({ ...refused, targetId }))]);
		const { json } = await tenant.call("GET", "/v1/usage?by=target");
		expect(json.usage).toEqual([
			{ ...none, day: dayAgo(0), targetId: first, signatures: 1, cost: 1 },
			{ ...none, day: dayAgo(0), targetId: null, refused: 3, cost: 3 },
		]);
		expect((await tenant.call("GET", "/v1/usage")).json.usage).toMatchObject([
			{ signatures: 1, refused: 3, cost: 4 },
		]);
	});

	it("counts a record once that is moved twice, and adds what comes later", async () => {
		await move(tenant, [{}, {}, {}]);
		await move(tenant, [{}, {}, {}, {}]); // the first three again
		await move(tenant, [{}, { targetId: second }], 50);
		const { json } = await tenant.call("GET", "/v1/usage?by=target");
		expect(json.usage).toEqual([
			{ ...none, day: dayAgo(0), targetId: second, signatures: 1, cost: 1 },
			{ ...none, day: dayAgo(0), targetId: first, signatures: 5, cost: 5 },
		]);
	});

	it("is of one key, and of a span of days with both ends", async () => {
		await move(
			tenant,
			[0, 1, 2, 3, 40].map((daysAgo) => ({ daysAgo })),
		);
		await move(tenant, [{ targetId: second }], 50);
		const days = async (query: string) => {
			const { json } = await tenant.call("GET", `/v1/usage?${query}`);
			return json.usage.map(({ day }: { day: string }) => day);
		};
		expect(await days("")).toEqual([0, 1, 2, 3].map(dayAgo));
		expect(await days(`from=${dayAgo(40)}&to=${dayAgo(3)}`)).toEqual([dayAgo(3), dayAgo(40)]);
		expect(await days(`target=${second}`)).toEqual([dayAgo(0)]);
		expect(await days(`by=target&target=${first}&from=${dayAgo(1)}`)).toEqual([0, 1].map(dayAgo));
	});

	it.each(["by=target", "by=day"])("goes on a page after the other, each once: %s", async (by) => {
		const deeds = [0, 1, 2].flatMap((daysAgo) => [
			{ daysAgo },
			{ daysAgo, targetId: second },
			{ daysAgo, targetId: null },
		]);
		await move(tenant, deeds);
		const seen: string[] = [];
		let cursor: string | null = "";
		while (cursor !== null) {
			const path = `/v1/usage?${by}&limit=2${cursor && `&cursor=${cursor}`}`;
			const { json }: Answer = await tenant.call("GET", path);
			seen.push(...json.usage.map((row: object) => JSON.stringify(row)));
			cursor = json.nextCursor;
		}
		expect(seen).toHaveLength(by === "by=day" ? 3 : 9);
		expect(new Set(seen).size).toBe(seen.length);
	});

	it.each([
		"9",
		"MjAyNi0wMi0zMC8wMTkwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDE",
		"MDAwMC0wMS0wMS8wMTkwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDE",
	])("refuses the cursor %s, which is none of its own", async (cursor) => {
		expectProblem(await tenant.call("GET", `/v1/usage?cursor=${cursor}`), 400, "invalid_cursor");
	});

	it.each(["2026-02-30", "0000-01-01"])("refuses a day that there is not: %s", async (day) => {
		expectProblem(await tenant.call("GET", `/v1/usage?from=${day}`), 400, "invalid_request");
	});

	it("is of the 30 days before the day up to which it is asked for", async () => {
		await move(
			tenant,
			[31, 45, 100].map((daysAgo) => ({ daysAgo })),
		);
		const { json } = await tenant.call("GET", `/v1/usage?to=${dayAgo(31)}`);
		const days = json.usage.map(({ day }: { day: string }) => day);
		expect(days).toEqual([dayAgo(31), dayAgo(45)]);
		expect((await tenant.call("GET", "/v1/usage?to=0001-01-02")).json.usage).toEqual([]);
	});

	it("does not compare a day with what is none", async () => {
		const { errors } = (await tenant.call("GET", "/v1/usage?from=yesterday&to=2026-11-20")).json;
		expect(errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(["/from"]);
	});

	it("refuses a span that ends before it begins", async () => {
		const path = "/v1/usage?from=2026-11-21&to=2026-11-20";
		const says = ["/to", "must not be before `from`"];
		expectProblem(await tenant.call("GET", path), 400, "invalid_request", { says });
	});

	it("tells nothing of another tenant", async () => {
		await move(await newTenant(), [{}]);
		const { json } = await tenant.call("GET", "/v1/usage?by=target");
		expect(json.usage).toEqual([]);
	});

	it.each(["/v1/usage", "/v1/usage/keys"])("refuses a token for some keys: %s", async (path) => {
		const token = await tenant.token("auditor", { keys: ["payments"] });
		const answer = await tenant.call("GET", path, { token });
		expectProblem(answer, 403, "scoped_token_forbidden");
	});
});

describe("GET /v1/usage/keys", () => {
	it("lists keys with the version that signs now and the day of their last use", async () => {
		const key = await newKey(tenant, "Ed25519", { name: "payments" });
		await newKey(tenant, "Ed25519", { name: "unused" });
		await tenant.call("POST", "/v1/keys/payments/rotate");
		await move(tenant, [
			{ daysAgo: 1, targetId: key.id, action: "updateKey" },
			{ daysAgo: 2, targetId: key.id, outcome: "key_disabled" },
			{ daysAgo: 3, targetId: key.id },
			{ daysAgo: 7, targetId: key.id },
		]);
		const { json } = await tenant.call("GET", "/v1/usage/keys");
		const shown = json.keys.map(({ name, currentVersion, lastUsedOn }: Record<string, unknown>) => [
			name,
			currentVersion,
			lastUsedOn,
		]);
		expect(shown).toEqual([
			["payments", 2, dayAgo(3)],
			["unused", 1, null],
		]);
	});

	it("goes on a page after the other", async () => {
		for (const name of ["a", "b", "c"]) await newKey(tenant, "Ed25519", { name });
		const { json } = await tenant.call("GET", "/v1/usage/keys?limit=2");
		expect(json.keys).toHaveLength(2);
		const next = await tenant.call("GET", `/v1/usage/keys?limit=2&cursor=${json.nextCursor}`);
		expect(next.json).toMatchObject({ keys: [{ name: "c" }], nextCursor: null });
	});
});

describe("a request that asks the same again and again", () => {
	const repeating = (times: number) =>
		publicRoute(
			{
				...{ method: "get", path: "/repeating", id: "repeating", addressCost: 0, tag: "Service" },
			},
			async ({ services }) => {
				const { statement, params } = keyByRef(tenant.id, "payments");
				for (let n = 0; n < times; n++) await services.db.query(statement, params);
				return ok({ json: {} });
			},
		);

	it.each([
		[limits.queriesOfOneName, []],
		[
			limits.queriesOfOneName + 1,
			[{ event: "repeated_query", route: "repeating", statement: "keys.byName" }],
		],
	])("is told when it is more than a change needs: %i times", async (times, expected) => {
		const events: LogEvent[] = [];
		const services = { ...createServices(env), log: (event: LogEvent) => events.push(event) };
		const request = new Request("https://edgesign.test/repeating");
		await serve(repeating(times), services, request, {}, inBackground);
		expect(events).toMatchObject(expected);
	});
});

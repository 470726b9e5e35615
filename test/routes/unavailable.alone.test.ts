import { env } from "cloudflare:workers";
import { neonConfig } from "@neondatabase/serverless";
import { beforeAll, describe, expect, it } from "vitest";
import { routes } from "../../src/app.ts";
import * as limits from "../../src/limits.ts";
import type { LogEvent } from "../../src/observe/log.ts";
import type { Route } from "../../src/routes/route.ts";
import { serve } from "../../src/routes/serve.ts";
import { createServices, type Services } from "../../src/services.ts";
import { expectBaseHeaders } from "../support/answers.ts";
import { inBackground } from "../support/background.ts";
import { hello, type Key, newKey } from "../support/keys.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
let token: string;
let key: Key;
beforeAll(async () => {
	tenant = await newTenant();
	token = await tenant.token("admin");
	key = await newKey(tenant);
});

/** Where nothing listens, and where something answers that is no database. */
const nobody = "http://127.0.0.1:9/sql";
const noDatabase = `${env.NEON_GATEWAY}/nothing`;

/** Runs `work` while the database is not where it was. */
async function withoutDatabase<T>(work: () => Promise<T>, endpoint = noDatabase): Promise<T> {
	const { fetchEndpoint } = neonConfig;
	neonConfig.fetchEndpoint = () => endpoint;
	try {
		return await work();
	} finally {
		neonConfig.fetchEndpoint = fetchEndpoint;
	}
}

function routeOf(id: string): Route {
	const route = routes.find((known) => known.id === id);
	if (!route) throw new Error(`there is no route ${id}`);
	return route;
}

async function ask(
	services: Services,
	id: string,
	params: Record<string, string>,
	json?: unknown,
	as = token,
) {
	const route = routeOf(id);
	const request = new Request("https://edgesign.test/", {
		method: route.method.toUpperCase(),
		headers: { Authorization: `Bearer ${as}`, "Content-Type": "application/json" },
		...(json !== undefined && { body: JSON.stringify(json) }),
	});
	return serve(route, services, request, params, inBackground);
}

/** An isolate with a clock of its own and no Redis, and how it signs. */
function warmIsolate(id: string, as = token) {
	let late = 0;
	const clock = () => Date.now() + late;
	const services = createServices({ ...env, UPSTASH_REDIS_REST_URL: nobody }, clock);
	const sign = () => ask(services, "sign", { key: id }, { message: hello }, as);
	return { services, sign, passTo: (milliseconds: number) => (late = milliseconds) };
}

async function expectUnavailable(response: Response): Promise<void> {
	const text = await response.text();
	expect(response.status, text).toBe(503);
	expect(response.headers.get("retry-after")).toBe("1");
	expect(response.headers.get("content-type")).toBe("application/problem+json");
	expectBaseHeaders(response.headers);
	const problem = JSON.parse(text);
	expect(problem.code).toBe("unavailable");
	expect(problem.detail).toContain("database does not answer");
	expect(text).not.toContain("127.0.0.1");
}

describe("a database that is not there", () => {
	it.each([
		["sign", { key: "payments" }, { message: hello }],
		["createKey", {}, { name: "new", algorithm: "Ed25519" }],
		["listKeys", {}, undefined],
		["createToken", {}, { name: "new", role: "signer" }],
		["getJwks", { tenant: "main" }, undefined],
	] as const)("is a 503 with Retry-After for %s, and logged", async (id, params, json) => {
		const events: LogEvent[] = [];
		const services = { ...createServices(env), log: (event: LogEvent) => events.push(event) };
		const response = await withoutDatabase(() => ask(services, id, params, json));
		await expectUnavailable(response);
		const requestId = response.headers.get("x-request-id");
		expect(events).toMatchObject([{ event: "dependency_unavailable", requestId, route: id }]);
	});

	it("is a 503 all the same when no connection is had at all", async () => {
		const services = createServices(env);
		await expectUnavailable(await withoutDatabase(() => ask(services, "listKeys", {}), nobody));
	});

	it("is nothing to a request that needs none: a bad token, a bad path, healthz", async () => {
		const services = createServices(env);
		await withoutDatabase(async () => {
			expect((await ask(services, "healthz", {})).status).toBe(200);
			const request = new Request("https://edgesign.test/", {
				headers: { Authorization: "Bearer nonsense" },
			});
			expect((await serve(routeOf("getKey"), services, request, {}, inBackground)).status).toBe(
				401,
			);
		});
	});

	it("is a no of readyz, which tells that Redis is there", async () => {
		const services = createServices(env);
		// Redis may take longer than readyz waits.
		await expect
			.poll(async () => {
				const response = await withoutDatabase(() => ask(services, "readyz", {}));
				return { status: response.status, json: await response.json() };
			})
			.toMatchObject({
				status: 503,
				json: { ready: false, postgres: { ok: false }, redis: { ok: true } },
			});
	});

	it("lets a warm isolate sign on for hours, and then is a 503", async () => {
		const { id } = await newKey(tenant);
		const { services, sign, passTo } = warmIsolate(id);
		expect((await sign()).status).toBe(200);
		await withoutDatabase(async () => {
			await scheduler.wait(2 * limits.loadsHeldMs); // of the object, by its own clock
			for (const ms of [limits.cacheRenewMs, limits.cacheTtlMs + 1, limits.cacheKeptMs - 1]) {
				passTo(ms);
				const answers = await Promise.all([sign(), sign(), sign()]);
				expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
				expect(await answers[0]?.json()).toMatchObject({ keyId: id, version: 1 });
				// What can not be made is not announced, and nobody forgets anything for it.
				await expectUnavailable(await ask(services, "disableKey", { key: id }));
			}
			passTo(limits.cacheTtlMs + limits.cacheKeptMs + 1);
			await expectUnavailable(await sign());
		});
		passTo(limits.cacheTtlMs + limits.cacheKeptMs + 60_000);
		expect((await sign()).status).toBe(200);
		expect(services.keyCache.get(tenant.id, id)).toMatchObject({ row: { id } });
	});

	it("is a 503 for a warm isolate as soon as something of the tenant may have changed", async () => {
		const { id } = await newKey(tenant);
		const { services, sign, passTo } = warmIsolate(id);
		expect((await sign()).status).toBe(200);
		await withoutDatabase(async () => {
			passTo(limits.cacheTtlMs + 1);
			expect((await sign()).status).toBe(200);
			const change = await services.coordinator.announce(tenant.id, "state");
			await services.coordinator.confirm(tenant.id, change);
			passTo(2 * limits.cacheTtlMs); // the lease has ended, and the next one is of another epoch
			await expectUnavailable(await sign());
		});
	});

	it("lets nobody sign on whose token has expired meanwhile", async () => {
		const { id } = await newKey(tenant);
		const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
		const { sign, passTo } = warmIsolate(id, await tenant.token("signer", { expiresAt }));
		expect((await sign()).status).toBe(200);
		await withoutDatabase(async () => {
			passTo(3_500_000);
			expect((await sign()).status).toBe(200);
			passTo(3_700_000);
			expect((await sign()).status).not.toBe(200);
		});
	});

	it("lets a cold isolate sign with what others have put into Redis", async () => {
		const { id } = await newKey(tenant);
		const sign = (services: Services) => ask(services, "sign", { key: id }, { message: hello });
		const attempt = async () => {
			await tenant.call("PATCH", `/v1/keys/${id}`, { json: { tags: { epoch: "new" } } });
			expect((await sign(createServices(env))).status).toBe(200);
			// What was read for the first one is written in the background, or given up by then.
			await scheduler.wait(limits.cacheSharedTimeoutMs);
			return withoutDatabase(async () => {
				const cold = createServices(env);
				return [(await sign(cold)).status, cold.sharedCounts.hits];
			});
		};
		// A call to Redis that takes too long is the same as nothing there: then all of it is done anew.
		await expect.poll(attempt, { timeout: 60_000 }).toEqual([200, 2]);
	}, 90_000);
});

describe("a database that hangs", () => {
	const sql = ownerSql();
	const running = (query: string) =>
		sql.query("select pid from pg_stat_activity where state = 'active' and query like $1", [query]);
	async function until(query: string, count: number): Promise<void> {
		while ((await running(query)).length !== count);
	}

	it("is a 503 within its time-out, and the change was not made", async () => {
		const services = createServices(env);
		// Another session holds the key's row, for as long as nobody ends it.
		const holder = sql
			.transaction([
				sql.query("select 1 from keys where tenant_id = $1 and id = $2 for update", [
					tenant.id,
					key.id,
				]),
				sql.query("select 'holder', pg_sleep(60)"),
			])
			.catch(() => "ended");
		await until("select 'holder'%", 1);
		const json = { tags: { changed: "yes" } };
		await expectUnavailable(await ask(services, "updateKey", { key: key.id }, json));
		// The statement is given up in the database too, before the row is free.
		await until("%/* keys.update */%", 0);
		await sql.query(
			"select pg_cancel_backend(pid) from pg_stat_activity where query like 'select ''holder''%'",
		);
		expect(await holder).toBe("ended");
		expect((await tenant.call("GET", `/v1/keys/${key.id}`)).json.tags).toEqual({});
	}, 30_000);
});

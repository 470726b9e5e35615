import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import * as limits from "../../src/limits.ts";
import { getCache, warmCache } from "../../src/routes/cache.ts";
import { getKey, listKeys } from "../../src/routes/keys.ts";
import type { Route } from "../../src/routes/route.ts";
import { serve } from "../../src/routes/serve.ts";
import { sign as signRoute } from "../../src/routes/signing.ts";
import { createServices } from "../../src/services.ts";
import { inBackground } from "../support/background.ts";
import { hello, newKey } from "../support/keys.ts";
import { type Answer, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeEach(async () => {
	tenant = await newTenant();
});

interface Shown {
	readonly name: string;
	readonly counts: Readonly<Record<string, number>>;
	readonly curve: readonly unknown[];
	readonly advice: string;
}

async function cacheOf(name: string): Promise<Shown> {
	const answer = await tenant.call("GET", "/v1/cache");
	expect(answer.status).toBe(200);
	const found = answer.json.caches.find((cache: Shown) => cache.name === name);
	if (!found) throw new Error(`there is no cache ${name}`);
	return found;
}

const sign = (key: string) =>
	tenant.call("POST", `/v1/keys/${key}/sign`, { json: { message: hello } });

describe("GET /v1/cache", () => {
	it("counts what was found and what was not", async () => {
		await newKey(tenant, "Ed25519", { name: "payments" });
		await sign("payments");
		const before = await cacheOf("keys");
		for (let i = 0; i < 5; i++) expect((await sign("payments")).status).toBe(200);
		const after = await cacheOf("keys");
		expect((after.counts.hits ?? 0) - (before.counts.hits ?? 0)).toBe(5);
		expect(after.counts.misses).toBe(before.counts.misses);
		expect(after.counts.bytes).toBeGreaterThan(4_096);
		expect(after.curve).toHaveLength(10);
		expect(after.advice).not.toBe("");
	});

	it("counts a token that nobody has as known, from its second time on", async () => {
		const admin = await tenant.token("admin");
		const services = createServices(env, () => 0); // it is forgotten after two seconds
		const ask = (of: Route, token: string) => {
			const headers = { Authorization: `Bearer ${token}` };
			const request = new Request("https://edgesign.test/", { headers });
			return serve(of, services, request, {}, inBackground);
		};
		const negativeHits = async () => {
			const { caches } = await (await ask(getCache, admin)).json<{ caches: Shown[] }>();
			return caches.find(({ name }) => name === "tokens")?.counts.negativeHits ?? 0;
		};
		const before = await negativeHits();
		const unknown = `es_${tenant.id}_${"B".repeat(43)}`;
		expect((await ask(listKeys, unknown)).status).toBe(401);
		expect(await negativeHits()).toBe(before);
		expect((await ask(listKeys, unknown)).status).toBe(401);
		expect(await negativeHits()).toBe(before + 1);
	});

	it("names no tenant, key or token", async () => {
		const key = await newKey(tenant, "Ed25519", { name: "payments" });
		await sign("payments");
		const { text } = await tenant.call("GET", "/v1/cache");
		for (const name of [tenant.id, "payments", key.id]) expect(text).not.toContain(name);
	});

	it("adds up what the holders of the memory have", async () => {
		const { json } = await tenant.call("GET", "/v1/cache");
		const { memory } = json;
		const sum = memory.holders.reduce(
			(all: number, { bytes }: { bytes: number }) => all + bytes,
			0,
		);
		expect(memory.bytes).toBe(sum);
		expect(memory.budgetBytes).toBe(limits.isolateBytes);
		expect(memory.pressure).toBe("none");
		const names = memory.holders.map(({ name }: { name: string }) => name);
		const expected = [
			"tokens",
			"keys",
			"versions",
			"documents",
			"results",
			"program",
			"leases",
			"bodies",
			"exports",
		];
		expect(names).toEqual(expect.arrayContaining(expected));
	});

	it("is not for a token that is limited to some keys", async () => {
		const token = await tenant.token("admin", { keys: ["payments"] });
		for (const [method, path] of [
			["GET", "/v1/cache"],
			["POST", "/v1/cache/purge"],
			["POST", "/v1/cache/warm"],
		] as const) {
			const json = path.endsWith("warm") ? { json: {} } : {};
			const answer = await tenant.call(method, path, { token, ...json });
			expect(answer.status).toBe(403);
			expect(answer.json.code).toBe("scoped_token_forbidden");
		}
	});
});

describe("POST /v1/cache/purge", () => {
	/** What no epoch tells of. */
	const renameByHand = (id: string) =>
		ownerSql().query("update keys set name = 'other' where tenant_id = $1 and id = $2", [
			tenant.id,
			id,
		]);

	it("forgets here what was changed by hand, and says how much it forgot", async () => {
		const key = await newKey(tenant, "Ed25519", { name: "payments" });
		expect((await sign("payments")).status).toBe(200);
		await renameByHand(key.id);
		expect((await sign("payments")).status).toBe(200);
		const answer = await tenant.call("POST", "/v1/cache/purge");
		expect(answer.status).toBe(200);
		expect(answer.json.droppedEntries).toBeGreaterThanOrEqual(2); // the token and the key
		expect((await sign("payments")).status).toBe(404);
		expect((await sign("other")).status).toBe(200);
	});

	it("makes every other isolate forget within a lease", async () => {
		const key = await newKey(tenant, "Ed25519", { name: "payments" });
		const token = await tenant.token("admin");
		let now = Date.now();
		const other = createServices(env, () => now);
		const nameThere = async () => {
			const headers = { Authorization: `Bearer ${token}` };
			const request = new Request("https://edgesign.test/", { headers });
			const answer = await serve(getKey, other, request, { key: key.id }, inBackground);
			return ((await answer.json()) as { name: string }).name;
		};
		expect(await nameThere()).toBe("payments");
		const epoch = other.leases.epochOf(tenant.id);
		await tenant.call("POST", "/v1/cache/purge");
		now += limits.leaseTtlMs;
		await nameThere();
		expect(other.leases.epochOf(tenant.id)).not.toBe(epoch);
	});

	it("leaves other tenants alone", async () => {
		const neighbour = await newTenant();
		await newKey(neighbour, "Ed25519", { name: "theirs" });
		const signTheirs = () =>
			neighbour.call("POST", "/v1/keys/theirs/sign", { json: { message: hello } });
		await signTheirs();
		await tenant.call("POST", "/v1/cache/purge");
		const before = await cacheOf("keys");
		expect((await signTheirs()).status).toBe(200);
		expect((await cacheOf("keys")).counts.misses).toBe(before.counts.misses);
	});

	it("has one answer for one Idempotency-Key", async () => {
		const headers = { "Idempotency-Key": "purge-1" };
		const answers: Answer[] = [];
		for (let i = 0; i < 2; i++) {
			answers.push(await tenant.call("POST", "/v1/cache/purge", { headers }));
		}
		expect(answers.map(({ status }) => status)).toEqual([200, 200]);
		expect(answers[1]?.headers.get("idempotency-replayed")).toBe("true");
		expect(answers[1]?.json).toEqual(answers[0]?.json);
	});
});

describe("POST /v1/cache/warm", () => {
	it("goes on after a key was made, which moves no epoch", async () => {
		const own = await newTenant();
		const warm = () => own.call("POST", "/v1/cache/warm", { json: {} });
		expect((await warm()).status).toBe(200);
		await newKey(own);
		expect((await warm()).status).toBe(200);
	});

	const names = ["payments", "releases", "webhooks"];
	let token: string;
	beforeEach(async () => {
		token = await tenant.token("admin");
		for (const name of names) await newKey(tenant, "Ed25519", { name });
	});
	/** Requests to an isolate that begins anew, and how often its memory had no key. */
	const newIsolate = () => {
		const services = createServices(env);
		const call = async (of: Route, body: object, params = {}) => {
			const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
			const init = { method: "POST", headers, body: JSON.stringify(body) };
			const request = new Request("https://edgesign.test/", init);
			const answer = await serve(of, services, request, params, inBackground);
			return { status: answer.status, json: await answer.json<Record<string, unknown>>() };
		};
		const misses = () =>
			services.caches.observed.find(({ name }) => name === "keys")?.counts().misses;
		return { services, call, misses };
	};

	it("loads the keys that are named, and says which are not there", async () => {
		const { call, misses, services } = newIsolate();
		const { json } = await call(warmCache, { keys: ["payments", "nobody", "webhooks"] });
		expect(json).toEqual({ loadedKeys: ["payments", "webhooks"], missingKeys: ["nobody"] });
		const before = misses();
		for (const key of ["payments", "webhooks"]) {
			expect((await call(signRoute, { message: hello }, { key })).status).toBe(200);
		}
		expect(misses()).toBe(before);
		expect(services.keyCache.get(tenant.id, "releases")).toBeUndefined();
	});

	it("loads what is used most, as far as isolates told", async () => {
		const first = newIsolate();
		for (const key of ["releases", "webhooks", "releases"]) {
			await first.call(signRoute, { message: hello }, { key });
		}
		expect((await first.call(warmCache, {})).json.loadedKeys).toEqual(["releases", "webhooks"]);
		const second = newIsolate();
		expect((await second.call(warmCache, {})).json).toEqual({
			loadedKeys: ["releases", "webhooks"],
			missingKeys: [],
		});
		expect(second.services.keyCache.get(tenant.id, "webhooks")).toBeDefined();
	});

	it("loads nothing of another tenant", async () => {
		const neighbour = await newTenant();
		await newKey(neighbour, "Ed25519", { name: "theirs" });
		const { json } = await newIsolate().call(warmCache, { keys: ["theirs"] });
		expect(json).toEqual({ loadedKeys: [], missingKeys: ["theirs"] });
	});

	it("takes a bounded number of keys, and no other field", async () => {
		const many = Array.from({ length: limits.warmKeys + 1 }, (_, number) => `key-${number}`);
		for (const json of [{ keys: many }, { keys: [] }, { keys: "payments" }, { more: 1 }]) {
			expect((await tenant.call("POST", "/v1/cache/warm", { json })).status).toBe(400);
		}
	});
});

describe("a body", () => {
	it("is held against the isolate's memory while its request is served, and not after it", async () => {
		await newKey(tenant, "Ed25519", { name: "payments" });
		const services = createServices(env);
		const token = await tenant.token("admin");
		const held = () => services.memory.holders.find(({ name }) => name === "bodies")?.bytes();
		const seen: (number | undefined)[] = [];
		const { bodies } = services;
		const watched = {
			...services,
			bodies: {
				...bodies,
				take(bytes: number) {
					const taken = bodies.take(bytes);
					seen.push(held());
					return taken;
				},
			},
		};
		const body = JSON.stringify({ message: hello });
		const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
		const request = new Request("https://edgesign.test/", { method: "POST", headers, body });
		const answer = await serve(signRoute, watched, request, { key: "payments" }, inBackground);
		expect(answer.status).toBe(200);
		expect(seen).toEqual([limits.bodyBytesHeldPerByte * body.length]);
		expect(held()).toBe(0);
	});

	it("is refused with 503 when there is no room for it", async () => {
		const services = createServices(env);
		const token = await tenant.token("admin");
		services.memory.register({
			name: "hog",
			shareBytes: 0,
			bytes: () => limits.isolateBytes,
		});
		const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
		const body = JSON.stringify({ message: hello });
		const request = new Request("https://edgesign.test/", { method: "POST", headers, body });
		const answer = await serve(signRoute, services, request, { key: "payments" }, inBackground);
		expect(answer.status).toBe(503);
		expect(((await answer.json()) as { code: string }).code).toBe("overloaded");
		expect(answer.headers.get("retry-after")).toBe(`${limits.shedRetryMs / 1000}`);
	});
});

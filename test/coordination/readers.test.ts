import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { hashToken } from "../../src/auth/tokens.ts";
import { ok } from "../../src/lib/result.ts";
import type { CoordinatorRpc } from "../../src/ratelimit/coordinator.ts";
import { admit } from "../../src/routes/admission.ts";
import { warmCache } from "../../src/routes/cache.ts";
import { getJwks } from "../../src/routes/public.ts";
import { rememberedResult } from "../../src/routes/results.ts";
import { serve } from "../../src/routes/serve.ts";
import { createServices, type Services } from "../../src/services.ts";
import { loadKey, loadVersion } from "../../src/signing/loaded.ts";
import { inBackground } from "../support/background.ts";
import { type Key, newKey } from "../support/keys.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
let token: string;
let key: Key;
beforeEach(async () => {
	tenant = await newTenant();
	token = await tenant.token("admin");
	key = await newKey(tenant);
});

/** Services that have begun a reading when `began` is there, and have it when they are released. */
async function slowReaders() {
	const { promise: began, resolve: begin } = Promise.withResolvers<void>();
	const { promise: released, resolve: release } = Promise.withResolvers<void>();
	const slowly = async <T>(reading: T | Promise<T>): Promise<T> => {
		const read = await reading;
		begin();
		await released;
		return read;
	};
	const getByName = (name: string) => {
		const stub = env.COORDINATOR.getByName(name) as unknown as CoordinatorRpc;
		return {
			lease: (...asked: Parameters<CoordinatorRpc["lease"]>) => stub.lease(...asked),
			load: (...asked: Parameters<CoordinatorRpc["load"]>) => slowly(stub.load(...asked)),
		};
	};
	const COORDINATOR = { getByName } as unknown as DurableObjectNamespace;
	const { db, reads, ...rest } = createServices({ ...env, COORDINATOR });
	await rest.leases.term(tenant.id);
	const direct = createServices(env).reads; // without a lease: nobody else is asked, and holds it too
	const services: Services = {
		...rest,
		db: { ...db, query: (...asked) => slowly(db.query(...asked)) },
		reads: { ...reads, read: (...asked) => slowly(direct.read(...asked)) },
	};
	return { services, began, release, slowly };
}

type Readers = Awaited<ReturnType<typeof slowReaders>>;

function request(): Request {
	const headers = { Authorization: `Bearer ${token}` };
	return new Request("https://edgesign.test/", { headers });
}

function admin() {
	const tokenId = "01900000-0000-7000-8000-000000000001";
	return { tenant: tenant.id, tokenId, role: "admin", keyPatterns: null, rateLimit: null } as const;
}

function warm({ services }: Readers, body: { keys?: string[] }) {
	const asked = { services, raw: request(), params: undefined, query: undefined, body };
	return warmCache.handle({ ...asked, caller: admin() } as never);
}

/** Who reads what is remembered, and what the cache has of it. */
const readers: readonly [
	string,
	(readers: Readers) => Promise<unknown>,
	(services: Services) => unknown,
][] = [
	[
		"a token",
		({ services }) => admit(services, request(), { limit: null }),
		({ tokenCache }) => tokenCache.get(tenant.id, hashToken(token)),
	],
	[
		"a key that came with a token",
		({ services }) => admit(services, request(), { limit: null }, () => key.id),
		({ keyCache }) => keyCache.get(tenant.id, key.id),
	],
	[
		"a key",
		({ services }) => loadKey(services, admin(), key.id),
		({ keyCache }) => keyCache.get(tenant.id, key.id),
	],
	[
		"a key that was asked for before its use",
		(held) => warm(held, { keys: [key.name] }),
		({ keyCache }) => keyCache.get(tenant.id, key.name),
	],
	[
		"a key that came along because it is used most",
		(held) => {
			held.services.reads.used(tenant.id, key.name);
			return warm(held, {});
		},
		({ keyCache }) => keyCache.get(tenant.id, key.name),
	],
	[
		"an older version of a key",
		async ({ services }) => {
			const loaded = await loadKey(createServices(env), admin(), key.id);
			if (!loaded.ok) throw new Error(loaded.error.code);
			return loadVersion(services, { ...loaded.value, versions: [] }, 1);
		},
		({ versionCache }) => versionCache.get(tenant.id, `${key.id} 1`),
	],
	[
		"a result",
		({ services, slowly }) =>
			rememberedResult(services, tenant.id, ["test"], () => slowly(ok("result"))),
		({ resultCache }) => resultCache.get(tenant.id, '["test"]'),
	],
	[
		"the public keys",
		({ services }) => serve(getJwks, services, request(), { tenant: tenant.id }, inBackground),
		({ documentCache }) => documentCache.get(tenant.id, "jwks"),
	],
];

describe.each(readers)("%s", (_, begin, found) => {
	it("is remembered when it was read", async () => {
		const held = await slowReaders();
		const reading = begin(held);
		await held.began;
		held.release();
		await reading;
		expect(found(held.services)).toBeTruthy();
	});

	it("is not remembered when its reading began before a change and ended after it", async () => {
		const held = await slowReaders();
		const reading = begin(held);
		await held.began;
		held.services.forgetTenant(tenant.id);
		held.release();
		await reading;
		expect(found(held.services)).toBeUndefined();
	});
});

it("a key is not remembered for who asks for it with a token that nobody has", async () => {
	const { services, release } = await slowReaders();
	release();
	const nobodys = request();
	nobodys.headers.set("Authorization", `Bearer es_${tenant.id}_${"A".repeat(43)}`);
	const refused = await admit(services, nobodys, { limit: null }, () => key.name);
	expect(refused.ok).toBe(false);
	expect(services.keyCache.get(tenant.id, key.name)).toBeUndefined();
});

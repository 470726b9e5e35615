import { connectRedisStore, noCounts } from "../../../src/cache/redis.ts";
import { createReads } from "../../../src/coordination/reads.ts";
import { readTogether } from "../../../src/db/together.ts";
import type { Env } from "../../../src/env.ts";
import { getJwks } from "../../../src/routes/public.ts";
import { serve } from "../../../src/routes/serve.ts";
import { sign } from "../../../src/routes/signing.ts";
import { createServices, type Services } from "../../../src/services.ts";
import type { BeginRequest, Calls, TierAnswer, TierRequest } from "./messages.ts";

export * from "../../../src/index.ts";

const tenant = "main";
/** Stands for an isolate: all that one keeps. */
let isolate: Services | undefined;
const sent = { postgres: 0, redis: 0 };

// The drivers of Postgres and of Redis both ask over HTTP, from objects as from isolates.
const { fetch: send } = globalThis;
globalThis.fetch = (input, init) => {
	const url = String(input instanceof Request ? input.url : input);
	sent[url.endsWith("/sql") ? "postgres" : "redis"]++;
	return send(input, init);
};

export default {
	async fetch(request, env, context) {
		const { pathname } = new URL(request.url);
		if (pathname === "/begin") return Response.json(await begin(env, await request.json()));
		isolate ??= createServices(env);
		if (pathname === "/calls") return Response.json(callsOf(isolate));
		if (pathname === "/tier") return Response.json(await read(isolate, await request.json()));
		const key = pathname.split("/")[3] ?? "";
		return serve(sign, isolate, request, { key }, (work) => context.waitUntil(work));
	},
} satisfies ExportedHandler<Env>;

/** The isolate before tells what it used, as one does that lives for longer. */
async function begin(env: Env, { warming, moved }: BeginRequest): Promise<Record<string, never>> {
	await isolate?.reads.warm(tenant);
	const services = createServices(env);
	if (moved) {
		const change = await services.coordinator.announce(tenant, "state");
		await services.coordinator.confirm(tenant, change);
	}
	isolate = warming ? services : { ...services, reads: unwarmed(services) };
	Object.assign(sent, { postgres: 0, redis: 0 });
	return {};
}

/** As the service reads, without what comes along. */
function unwarmed(services: Services): Services["reads"] {
	const { config, db, origin, clock, random, leases, coordinator } = services;
	return createReads({
		db,
		shared: connectRedisStore(config, clock, random, noCounts()),
		origin,
		clock,
		epochNow: (of) => leases.sharedEpoch(of),
		load: (of, ask) => coordinator.load(of, 1, { ...ask, isFirst: false }),
		rememberer: () => () => {},
	});
}

function callsOf({ caches }: Services): Calls {
	const keys = caches.observed.find(({ name }) => name === "keys");
	return { ...sent, keyMisses: keys?.counts().misses ?? 0 };
}

async function read(services: Services, { tier, key, times }: TierRequest): Promise<TierAnswer> {
	const { db, keyCache, config, clock, random, leases, coordinator } = services;
	const epoch = leases.sharedEpoch(tenant) ?? 0;
	const wanted = [{ kind: "key", name: key }] as const;
	const shared = connectRedisStore(config, clock, random, noCounts());
	const readings = {
		memory: () => keyCache.get(tenant, key),
		redis: async () => (await shared.read(tenant, epoch, wanted))[0],
		object: async () => (await coordinator.load(tenant, 1, ask)).answers[0],
		postgres: async () => (await readTogether(db, tenant, wanted))[0],
		document: async () => (await jwks(services)).text(),
		platform: async () => (await caches.default.match(jwksRequest))?.text(),
	};
	const ask = { epoch, wanted, used: [], isFirst: false };
	if (tier === "platform") await caches.default.put(jwksRequest, await jwks(services));
	const reading = readings[tier];
	if (!(await reading())) throw new Error(`${tier} has no key ${key}`);
	const start = performance.now();
	for (let time = 0; time < times; time++) await reading();
	return { microseconds: (1000 * (performance.now() - start)) / times };
}

const jwksRequest = new Request(`https://edgesign.test/t/${tenant}/.well-known/jwks.json`);

function jwks(services: Services): Promise<Response> {
	return serve(getJwks, services, jwksRequest, { tenant }, () => {});
}

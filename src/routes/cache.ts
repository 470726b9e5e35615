import { refuseScoped } from "../auth/tokens.ts";
import type { ObservedCache } from "../cache/caches.ts";
import { agedOut } from "../cache/store.ts";
import { changing } from "../coordination/change.ts";
import type { Database } from "../db/client.ts";
import type { KeyWithVersions } from "../db/keys.ts";
import { noteCaches } from "../db/tenants.ts";
import type { Failure } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import * as answers from "../schemas/answers/cache.ts";
import * as schema from "../schemas/cache.ts";
import { rememberKey } from "../signing/loaded.ts";
import { lapsed } from "./admission.ts";
import { type Docs, type GuardedRequest, type Reply, route } from "./route.ts";

const whole = "look into the caches, which are of all of them";

export const getCache = route(
	{
		method: "get",
		path: "/v1/cache",
		id: "getCache",
		tag: "Caches",
		permission: "cache:read",
	},
	async ({ services: { caches, memory, sharedCounts }, caller }) => {
		const refusal = refuseScoped(caller, whole);
		if (refusal) return refusal;
		const holders = memory.holders.map(({ name, bytes, shareBytes }) => ({
			name,
			bytes: bytes(),
			shareBytes,
		}));
		const held = { bytes: memory.held, budgetBytes: memory.bytes, pressure: memory.pressure };
		return ok({
			json: {
				caches: caches.observed.map(toReport),
				shared: sharedCounts,
				memory: { ...held, holders },
			},
		});
	},
);

type PurgeRequest = GuardedRequest<unknown, { readonly fence?: boolean | undefined }, unknown>;

export const purgeCache = route(
	{
		method: "post",
		path: "/v1/cache/purge",
		id: "purgeCache",
		tag: "Caches",
		permission: "cache:write",
		query: schema.purgeQuery,
		again: (request) => purge(request, async () => {}),
	},
	(request) => purge(request, noteCaches),
);

/** Ends the epoch under which everything was read. It is noted once, and may be done again. */
async function purge(
	{ services, caller, query: { fence = false } }: PurgeRequest,
	note: (db: Database, tenant: string) => Promise<void>,
): Promise<Result<Reply, Failure>> {
	const refusal = refuseScoped(caller, whole);
	if (refusal) return refusal;
	return changing(services, caller.tenant, { fence }, async (db) => {
		await note(db, caller.tenant);
		const droppedEntries = services.caches.dropTenant(caller.tenant);
		return ok({ json: { droppedEntries } });
	});
}

type WarmRequest = GuardedRequest<
	unknown,
	unknown,
	{ readonly keys?: readonly string[] | undefined }
>;

export const warmCache = route(
	{
		method: "post",
		path: "/v1/cache/warm",
		id: "warmCache",
		tag: "Caches",
		permission: "cache:write",
		body: schema.warmBody,
		again: warm,
	},
	async (request) => {
		const reply = await warm(request);
		if (reply.ok) await noteCaches(request.services.db, request.caller.tenant);
		return reply;
	},
);

async function warm({ services, caller, body }: WarmRequest): Promise<Result<Reply, Failure>> {
	const refusal = refuseScoped(caller, whole);
	if (refusal) return refusal;
	const { tenant } = caller;
	const { reads, keyCache } = services;
	const { keys } = body;
	if (!keys) {
		const loadedKeys = await reads.warm(tenant);
		return loadedKeys ? ok({ json: { loadedKeys, missingKeys: [] } }) : lapsed();
	}
	const since = keyCache.now();
	const wanted = keys.map((name) => ({ kind: "key", name }) as const);
	const { rows, isKept } = await reads.read(tenant, wanted);
	const asOf = isKept ? agedOut(since) : since;
	for (const [at, name] of keys.entries()) {
		if (rows[at]) rememberKey(services, tenant, name, rows[at] as KeyWithVersions, asOf);
	}
	const loadedKeys = keys.filter((_, at) => rows[at]);
	return ok({ json: { loadedKeys, missingKeys: keys.filter((_, at) => !rows[at]) } });
}

function toReport({ name, maxBytes, counts, analysis }: ObservedCache) {
	const counted = counts();
	const { hits, negativeHits, misses } = counted;
	const reads = hits + negativeHits + misses;
	return {
		name,
		maxBytes,
		counts: counted,
		hitRatio: reads === 0 ? null : (hits + negativeHits) / reads,
		reuse: analysis.reuse(),
		curve: analysis.curve(),
		advice: analysis.advice(counted),
	};
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function cacheDocs() {
	return {
		getCache: {
			summary: "What the caches do",
			description:
				"Of the isolate that answers, for all of its tenants together, since it began: counts, how names are read, what caches of other sizes would miss, and advice. No names are in it. Another request may be answered by another isolate.",
			answer: { description: "The caches and the memory", schema: answers.cacheReport },
			failures: ["scoped_token_forbidden"],
			examples: [{}],
		},
		purgeCache: {
			summary: "Forget what is cached of the tenant",
			description:
				"In this isolate at once, in every other one within a lease: as if something of the tenant had been changed. For changes that were made by hand in the database.",
			answer: { description: "It is forgotten", schema: answers.purged },
			failures: ["scoped_token_forbidden"],
			examples: [{}, { query: { fence: "true" } }],
		},
		warmCache: {
			summary: "Load keys before they are asked for",
			description:
				"Into the memory of the isolate that answers: the keys that are named, or those of the tenant that are used most. Only keys: a token is read together with the first key that it is used for.",
			answer: { description: "Those that are there are loaded", schema: answers.warmed },
			failures: ["scoped_token_forbidden", "lease_lapsed"],
			examples: [{ body: { keys: ["payments"] } }, { body: {} }],
		},
	} as const satisfies Docs;
}

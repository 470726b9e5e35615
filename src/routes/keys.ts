import type { KeyRow } from "../db/keys.ts";
import { type Failure, fail } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import * as limits from "../limits.ts";
import type { AlgorithmName } from "../model.ts";
import { tokenParts } from "../ratelimit/policy.ts";
import * as answers from "../schemas/answers/keys.ts";
import * as schema from "../schemas/keys.ts";
import { algorithms } from "../signing/algorithms.ts";
import * as keys from "../signing/keys.ts";
import { cutPage, readPage } from "./pages.ts";
import {
	type Docs,
	type GuardedRequest,
	type GuardedRoute,
	type Reply,
	type Route,
	route,
} from "./route.ts";

/** What making a key costs, in hundredths of a token: finding primes is dear. */
function keyCost(name: AlgorithmName, modulusLength?: number): number {
	return algorithms[name].generationCost(modulusLength) * tokenParts;
}

/** Why a route about one key may not get at it. */
export const unreachable = ["key_not_found", "key_out_of_scope"] as const;

export const createKey = route(
	{
		method: "post",
		path: "/v1/keys",
		id: "createKey",
		tag: "Keys",
		permission: "keys:write",
		cost: ({ algorithm, modulusLength }) => keyCost(algorithm, modulusLength),
		body: schema.createKeyBody,
		status: 201,
		again: describedNow,
	},
	async ({ services, caller, body }) =>
		described(await keys.createKey(services, caller, { ...body, tags: body.tags ?? {} })),
);

export const importKey = route(
	{
		method: "post",
		path: "/v1/keys/import",
		id: "importKey",
		tag: "Keys",
		permission: "keys:write",
		body: schema.importKeyBody,
		status: 201,
		again: describedNow,
	},
	async ({ services, caller, body }) =>
		described(await keys.importKey(services, caller, { ...body, tags: body.tags ?? {} })),
);

export const listKeys = route(
	{
		method: "get",
		path: "/v1/keys",
		id: "listKeys",
		tag: "Keys",
		permission: "keys:read",
		operation: "list",
		query: schema.listKeysQuery,
	},
	async ({ services, caller, query }) => {
		const listing = { of: "listKeys", tenant: caller.tenant, query };
		const page = readPage(listing);
		if (!page.ok) return page;
		const tags = readTags(query.tag);
		if (!tags.ok) return tags;
		const { state, algorithm, prefix } = query;
		const filter = { state, algorithm, namePrefix: prefix, tags: tags.value };
		const { rows, nextCursor } = cutPage(
			await keys.listKeys(services, caller, filter, page.value),
			page.value,
			listing,
		);
		return ok({ json: { keys: rows.map(toSummary), nextCursor } });
	},
);

export const getKey = route(
	{
		method: "get",
		path: "/v1/keys/{key}",
		id: "getKey",
		tag: "Keys",
		permission: "keys:read",
		params: schema.keyParams,
	},
	async ({ services, caller, params }) =>
		described(await keys.describeKey(services, caller, params.key)),
);

export const updateKey = route(
	{
		method: "patch",
		path: "/v1/keys/{key}",
		id: "updateKey",
		tag: "Keys",
		permission: "keys:write",
		params: schema.keyParams,
		query: schema.changeQuery,
		body: schema.updateKeyBody,
		again: describedChange,
	},
	async ({ services, caller, params, query, body }) =>
		described(await keys.updateKey(services, caller, params.key, body, query.fence)),
);

export const rotateKey = route(
	{
		method: "post",
		path: "/v1/keys/{key}/rotate",
		id: "rotateKey",
		tag: "Keys",
		permission: "keys:write",
		// Its algorithm is not known before it is read: it costs what RSA of 2,048 bits does, as larger ones wait in a stock.
		cost: () => keyCost("RS256"),
		params: schema.keyParams,
		query: schema.changeQuery,
		again: describedChange,
	},
	async ({ services, caller, params, query }) =>
		described(await keys.rotateKey(services, caller, params.key, query.fence)),
);

export const enableKey = moveRoute("enable", { id: "enableKey" });

export const disableKey = moveRoute("disable", { id: "disableKey", operation: "revoke" });

export const restoreKey = moveRoute("restore", { id: "restoreKey" });

export const deleteKey = route(
	{
		method: "delete",
		path: "/v1/keys/{key}",
		id: "deleteKey",
		tag: "Keys",
		permission: "keys:write",
		operation: "revoke",
		params: schema.keyParams,
		query: schema.deleteKeyQuery,
		again: describedChange,
	},
	async ({ services, caller, params, query }) => {
		const options = { days: query.days ?? limits.deletionDaysMax, fence: query.fence ?? false };
		return described(await keys.moveKey(services, caller, params.key, "delete", options));
	},
);

/** A move in the life of a key that needs nothing but the key. */
function moveRoute(
	move: "enable" | "disable" | "restore",
	spec: Pick<GuardedRoute, "id"> & Partial<Pick<GuardedRoute, "operation">>,
): Route {
	return route(
		{
			...spec,
			method: "post",
			path: `/v1/keys/{key}/${move}`,
			tag: "Keys",
			permission: "keys:write",
			params: schema.keyParams,
			query: schema.changeQuery,
			again: describedChange,
		},
		async ({ services, caller, params, query }) => {
			const options = { fence: query.fence ?? false };
			return described(await keys.moveKey(services, caller, params.key, move, options));
		},
	);
}

/** `name:value` pairs of the query; the value may have colons. */
function readTags(
	given: string | readonly string[] | undefined,
): Result<Record<string, string>, Failure> {
	const pairs = typeof given === "string" ? [given] : (given ?? []);
	const tags = new Map<string, string>();
	for (const pair of pairs) {
		const colon = pair.indexOf(":");
		if (colon < 1) return badTag("A tag filter has the form name:value.");
		const name = pair.slice(0, colon);
		if (tags.has(name)) return badTag("A tag has one value: each name may stand there once.");
		tags.set(name, pair.slice(colon + 1));
	}
	return ok(Object.fromEntries(tags));
}

function badTag(detail: string) {
	return fail("invalid_request", detail, [{ pointer: "/tag", code: "invalid_request", detail }]);
}

type FencedRequest = GuardedRequest<
	unknown,
	{ readonly fence?: boolean | undefined } | undefined,
	unknown
>;

/** A new key was made, and this is what became of it. By its id: its name may be another one by now. */
async function describedNow(
	{ services, caller }: GuardedRequest<unknown, undefined, unknown>,
	id: string,
) {
	return described(await keys.describeKey(services, caller, id));
}

async function describedChange({ services, caller, query }: FencedRequest, id: string) {
	return described(await keys.describeChanged(services, caller, id, query?.fence));
}

function described(result: Result<keys.DescribedKey, Failure>): Result<Reply, Failure> {
	if (!result.ok) return result;
	const { row, publicJwk: jwk } = result.value;
	const publicKey = jwk && { jwk, pem: algorithms[row.algorithm].exportPem(jwk) };
	return ok({ json: { ...toSummary(row), publicKey } });
}

function toSummary(row: KeyRow) {
	return {
		id: row.id,
		name: row.name,
		algorithm: row.algorithm,
		state: row.state,
		version: row.current_version,
		minSignVersion: row.min_sign_version,
		minVerifyVersion: row.min_verify_version,
		hasPrivate: row.has_private,
		tags: row.tags,
		createdAt: row.created_at,
		updatedAt: row.updated_at,
		deleteAt: row.delete_at,
	};
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function keysDocs() {
	return {
		createKey: {
			summary: "Create a key",
			description: "The private half is made in the service and never leaves it.",
			answer: { description: "The key", schema: answers.key },
			failures: ["key_name_taken", "algorithm_unsupported", "key_out_of_scope"],
			examples: [
				{ body: { name: "releases", algorithm: "Ed25519", tags: { team: "build" } } },
				{ body: { name: "legacy-sso", algorithm: "RS256", modulusLength: 2048 } },
			],
		},
		importKey: {
			summary: "Import a key",
			description:
				"A JWK or a PEM with PKCS#8 or SPKI. A key imported without its private half verifies and does not sign.",
			answer: { description: "The key", schema: answers.key },
			failures: ["key_name_taken", "invalid_key_material", "key_out_of_scope"],
			examples: [
				{
					body: {
						name: "partner",
						algorithm: "Ed25519",
						key: { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
					},
				},
			],
		},
		listKeys: {
			summary: "List keys",
			description: "In the order of their making. Only the keys that the token is for.",
			answer: { description: "A page of keys", schema: answers.keyPage },
			failures: ["invalid_cursor"],
			examples: [{ query: { state: "enabled", algorithm: "Ed25519", limit: "20" } }],
		},
		getKey: {
			summary: "Describe a key",
			answer: { description: "The key", schema: answers.key },
			failures: unreachable,
			examples: [{ params: { key: "payments" } }],
		},
		updateKey: {
			summary: "Change a key's name, tags or minimum versions",
			answer: { description: "The key", schema: answers.key },
			failures: [
				...unreachable,
				"key_name_taken",
				"invalid_minimum_version",
				"key_pending_deletion",
				"concurrent_change",
			],
			examples: [{ params: { key: "payments" }, body: { tags: { team: "treasury" } } }],
		},
	} as const satisfies Docs;
}

/** For the OpenAPI document alone, as well. */
export function keyLifeDocs() {
	return {
		rotateKey: {
			summary: "Make a new version that signs from now on",
			description: "Older versions go on verifying until the minimum version is raised.",
			answer: { description: "The key", schema: answers.key },
			failures: [
				...unreachable,
				"key_pending_deletion",
				"key_public_only",
				"too_many_versions",
				"concurrent_change",
			],
			examples: [{ params: { key: "payments" } }],
		},
		enableKey: {
			summary: "Let a key sign and verify",
			answer: { description: "The key", schema: answers.key },
			failures: [...unreachable, "key_pending_deletion", "concurrent_change"],
			examples: [{ params: { key: "payments" } }],
		},
		disableKey: {
			summary: "Stop a key from signing and verifying",
			answer: { description: "The key", schema: answers.key },
			failures: [...unreachable, "key_pending_deletion", "concurrent_change"],
			examples: [{ params: { key: "legacy" } }],
		},
		restoreKey: {
			summary: "Take back a scheduled deletion",
			description: "The key is disabled afterwards: enable it when it should sign again.",
			answer: { description: "The key", schema: answers.key },
			failures: [...unreachable, "key_not_pending_deletion", "concurrent_change"],
			examples: [{ params: { key: "restorable" } }],
		},
		deleteKey: {
			summary: "Schedule a key's deletion",
			description:
				"It stops signing and verifying at once, and can be restored until its day comes.",
			answer: { description: "The key, with `deleteAt`", schema: answers.key },
			failures: [...unreachable, "key_pending_deletion", "concurrent_change"],
			examples: [{ params: { key: "retired" }, query: { days: "7" } }],
		},
	} as const satisfies Docs;
}

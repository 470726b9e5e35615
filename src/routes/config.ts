import { refuseScoped } from "../auth/tokens.ts";
import {
	type ConfigChange,
	listVersions,
	putConfig as put,
	readConfig,
	readConfigVersion,
	rollback,
	type VersionedConfig,
} from "../config/config.ts";
import { changing } from "../coordination/change.ts";
import type { ConfigVersionRow } from "../db/config.ts";
import { type Failure, fail } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import * as answers from "../schemas/answers/config.ts";
import * as schema from "../schemas/config.ts";
import { ifMatchHeaders } from "../schemas/headers.ts";
import { cutVersionPage, readVersionPage } from "./pages.ts";
import { type Docs, type GuardedRequest, type Reply, route } from "./route.ts";

const whole = "touch the configuration, which is for all of them";

export const getConfig = route(
	{
		method: "get",
		path: "/v1/config",
		id: "getConfig",
		tag: "Configuration",
		permission: "config:read",
		query: schema.getConfigQuery,
	},
	async ({ services: { db }, caller, query }) => {
		const refusal = refuseScoped(caller, whole);
		if (refusal) return refusal;
		const { version } = query;
		if (version === undefined) return shown(ok(await readConfig(db, caller.tenant)));
		return shown(await readConfigVersion(db, caller.tenant, version));
	},
);

export const putConfig = route(
	{
		method: "put",
		path: "/v1/config",
		id: "putConfig",
		headers: ifMatchHeaders,
		tag: "Configuration",
		permission: "config:write",
		query: schema.changeConfigQuery,
		body: schema.putConfigBody,
		again: shownChange,
	},
	async (request) => {
		const change = readChange(request);
		if (!change.ok) return change;
		const { audit_config } = request.json as { audit_config?: { legal_hold?: boolean } };
		const endsHold = audit_config?.legal_hold === false;
		return shown(await put(request.body, { ...change.value, endsHold }));
	},
);

export const listConfigVersions = route(
	{
		method: "get",
		path: "/v1/config/versions",
		id: "listConfigVersions",
		tag: "Configuration",
		permission: "config:read",
		operation: "list",
		query: schema.listVersionsQuery,
	},
	async ({ services, caller, query }) => {
		const refusal = refuseScoped(caller, whole);
		if (refusal) return refusal;
		const listing = { of: "listConfigVersions", tenant: caller.tenant, query };
		const page = readVersionPage(listing);
		if (!page.ok) return page;
		const found = await listVersions(services.db, caller.tenant, page.value);
		const { rows, nextCursor } = cutVersionPage(found, page.value, listing);
		return ok({ json: { versions: rows.map(toVersion), nextCursor } });
	},
);

export const rollbackConfig = route(
	{
		method: "post",
		path: "/v1/config/rollback",
		id: "rollbackConfig",
		headers: ifMatchHeaders,
		tag: "Configuration",
		permission: "config:write",
		query: schema.changeConfigQuery,
		body: schema.rollbackBody,
		again: shownChange,
	},
	async (request) => {
		const change = readChange(request);
		if (!change.ok) return change;
		return shown(await rollback(request.services.db, request.body.version, change.value));
	},
);

type ChangeQuery = { readonly fence?: boolean | undefined; readonly note?: string | undefined };

/** Who asks for a change, on what it builds, and how it reaches the isolates. */
function readChange({
	services,
	caller,
	query: { fence = false, note },
	raw,
}: GuardedRequest<unknown, ChangeQuery, unknown>): Result<ConfigChange, Failure> {
	const refusal = refuseScoped(caller, whole);
	if (refusal) return refusal;
	const expected = readIfMatch(raw.headers.get("if-match"));
	if (!expected.ok) return expected;
	const { tenant, tokenId } = caller;
	return ok({
		tenant,
		createdBy: tokenId,
		note: note ?? null,
		expected: expected.value,
		endsHold: false,
		commit: (write) => changing(services, tenant, { kind: "config", fence }, write),
	});
}

const entityTag = /(?:W\/)?"[\x21\x23-\x7e]*"/g;

/**
 * RFC 9110 section 13.1.1: the versions that are named, null for any. A tag that is no version matches nothing.
 * A weak one is taken as the version too, against the letter: a proxy that compresses an answer weakens its tag,
 * and whoever sends that back has read this version.
 */
function readIfMatch(header: string | null): Result<readonly number[] | null, Failure> {
	if (header === null || header.trim() === "*") return ok(null);
	const tags = header.match(entityTag) ?? [];
	// A list may have empty elements (RFC 9110 section 5.6.1), and a tag a comma.
	const elements = header
		.replace(entityTag, '"')
		.split(",")
		.flatMap((element) => element.trim() || []);
	const isList = elements.length === tags.length && elements.every((element) => element === '"');
	if (tags.length === 0 || !isList) {
		return fail("invalid_request", 'If-Match must be a version in quotes, such as "3".');
	}
	return ok(
		tags.flatMap((tag) => {
			const [, version] = /^(?:W\/)?"(0|[1-9][0-9]*)"$/.exec(tag) ?? [];
			return version === undefined ? [] : [Number(version)];
		}),
	);
}

/** The version that was written, announced once more: nobody knows how far it came to be heard of. */
async function shownChange(
	{ services, caller: { tenant }, query }: GuardedRequest<unknown, ChangeQuery, unknown>,
	version: string,
) {
	const options = { kind: "config", fence: query.fence ?? false } as const;
	return changing(services, tenant, options, async (db) =>
		shown(await readConfigVersion(db, tenant, Number(version))),
	);
}

function shown(result: Result<VersionedConfig, Failure>): Result<Reply, Failure> {
	if (!result.ok) return result;
	const headers = { ETag: `"${result.value.version}"` };
	return ok(Response.json(result.value, { headers }));
}

function toVersion(row: ConfigVersionRow) {
	return {
		version: row.version,
		createdAt: row.created_at,
		createdBy: row.created_by,
		note: row.note,
	};
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function configDocs() {
	const configurationAnswer = {
		description: "The configuration",
		schema: answers.configuration,
		hasEtag: true,
	} as const;
	return {
		getConfig: {
			summary: "Read the configuration",
			description:
				"The current version, or another one. The `ETag` is its version, in quotes. Reading and changing the configuration draw from the limit `configure` alone, so that an admin can raise limits that are used up.",
			answer: configurationAnswer,
			failures: ["config_version_not_found", "scoped_token_forbidden"],
			examples: [{}, { query: { version: "1" } }],
		},
		putConfig: {
			summary: "Replace the configuration",
			description:
				'The body is the whole configuration: what it leaves out gets its default, but for a legal hold that is on, which `false` alone ends. The answer is the new version; a body that equals the current version makes none, and is answered with that. Send `If-Match: "3"` to replace version 3 and no other.',
			answer: configurationAnswer,
			failures: ["precondition_failed", "concurrent_change", "scoped_token_forbidden"],
			examples: [
				{ body: { limits_config: { roles: { signer: { quota: 600, window_seconds: 60 } } } } },
				{
					query: { note: "Benchmarks on", fence: "true" },
					body: { benchmarking_config: { enable_benchmarks: true } },
				},
			],
		},
		listConfigVersions: {
			summary: "List the versions of the configuration",
			description:
				"Newest first: who wrote each, when and why. What is in one, `GET /v1/config` shows.",
			answer: { description: "A page of versions", schema: answers.versionPage },
			failures: ["invalid_cursor", "scoped_token_forbidden"],
			examples: [{ query: { limit: "20" } }],
		},
		rollbackConfig: {
			summary: "Go back to an earlier configuration",
			description:
				"Makes a new version with the content of an old one, but for a legal hold that is on: it stays. It follows the rules of a replacement, `If-Match` among them.",
			answer: configurationAnswer,
			failures: [
				"config_version_not_found",
				"precondition_failed",
				"concurrent_change",
				"scoped_token_forbidden",
			],
			examples: [{ body: { version: 1 } }],
		},
	} as const satisfies Docs;
}

import { failField } from "../errors.ts";
import { ok } from "../lib/result.ts";
import * as answers from "../schemas/answers/keys.ts";
import * as schema from "../schemas/keys.ts";
import * as keys from "../signing/keys.ts";
import { unreachable } from "./keys.ts";
import { cutVersionPage, readVersionPage } from "./pages.ts";
import { answerPrivate, documentOf, notModified } from "./published.ts";
import { type Docs, route } from "./route.ts";

export const listKeyVersions = route(
	{
		method: "get",
		path: "/v1/keys/{key}/versions",
		id: "listKeyVersions",
		tag: "Keys",
		permission: "keys:read",
		operation: "list",
		params: schema.keyParams,
		query: schema.listVersionsQuery,
	},
	async ({ services, caller, params, query }) => {
		const of = `listKeyVersions/${params.key}`;
		const listing = { of, tenant: caller.tenant, query };
		const page = readVersionPage(listing);
		if (!page.ok) return page;
		const found = await keys.listVersions(services, caller, params.key, page.value);
		if (!found.ok) return found;
		const { key, versions } = found.value;
		const { rows, nextCursor } = cutVersionPage(versions, page.value, listing);
		const shown = rows.map(({ version, version_created_at: createdAt }) => ({
			version,
			createdAt,
			maySign: key.has_private && version >= key.min_sign_version,
			mayVerify: version >= key.min_verify_version,
		}));
		return ok({ json: { versions: shown, nextCursor } });
	},
);

export const getPublicKey = route(
	{
		method: "get",
		path: "/v1/keys/{key}/public",
		id: "getPublicKey",
		tag: "Keys",
		permission: "keys:read",
		params: schema.keyParams,
		query: schema.publicKeyQuery,
	},
	async ({ services, raw, caller, params, query }) => {
		const found = await keys.publicKeyOf(services, caller, params.key, query.version);
		if (!found.ok) return found;
		const { algorithm, jwk } = found.value;
		if (query.format === "jwk") {
			return answerPrivate(raw, documentOf(JSON.stringify(jwk)), "application/json");
		}
		if (query.format === "pem") {
			const pem = documentOf(algorithm.exportPem(jwk));
			return answerPrivate(raw, pem, "text/plain; charset=utf-8");
		}
		const bytes = algorithm.exportRaw(jwk);
		if (!bytes) {
			return failField(
				"format_unsupported",
				"/format",
				`${algorithm.name} has no raw form of a key.`,
			);
		}
		return answerPrivate(raw, documentOf(bytes), "application/octet-stream");
	},
);

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function keyVersionsDocs() {
	return {
		listKeyVersions: {
			summary: "List a key's versions, the newest first",
			answer: { description: "A page of versions", schema: answers.versionPage },
			failures: [...unreachable, "invalid_cursor"],
			examples: [{ params: { key: "payments" }, query: { limit: "20" } }],
		},
		getPublicKey: {
			summary: "Read the public half",
			description:
				"`jwk` is JSON, `pem` a text, `raw` the bytes themselves: 32 for Ed25519 and BIP340, an uncompressed point for ECDSA.",
			answer: {
				description: "The public key",
				schema: answers.publicJwk,
				otherContentTypes: ["text/plain", "application/octet-stream"],
			},
			otherAnswers: [notModified],
			failures: [...unreachable, "version_not_found", "format_unsupported"],
			examples: [
				{ params: { key: "payments" } },
				{ params: { key: "payments" }, query: { format: "pem", version: "1" } },
			],
		},
	} as const satisfies Docs;
}

import {
	announceRevocation,
	listTokens as list,
	createToken as mint,
	remakeToken,
	revokeToken as revoke,
} from "../auth/tokens.ts";
import { rateLimitOf, type TokenRow } from "../db/tokens.ts";
import type { Failure } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import * as answers from "../schemas/answers/tokens.ts";
import * as schema from "../schemas/tokens.ts";
import { cutPage, readPage } from "./pages.ts";
import { type Docs, type Reply, route } from "./route.ts";

export const createToken = route(
	{
		method: "post",
		path: "/v1/tokens",
		id: "createToken",
		tag: "Tokens",
		permission: "tokens:write",
		body: schema.createTokenBody,
		status: 201,
		again: async ({ services, caller }) => shown(await remakeToken(services, caller)),
	},
	async ({ services, caller, body }) => {
		const made = await mint(services, caller, {
			name: body.name,
			role: body.role,
			keys: body.keys ?? null,
			expiresIn: body.expiresIn ?? null,
			rateLimit: body.rateLimit ?? null,
		});
		return shown(made);
	},
);

export const listTokens = route(
	{
		method: "get",
		path: "/v1/tokens",
		id: "listTokens",
		tag: "Tokens",
		permission: "tokens:read",
		query: schema.listTokensQuery,
	},
	async ({ services, caller, query }) => {
		const listing = { of: "listTokens", tenant: caller.tenant, query };
		const page = readPage(listing);
		if (!page.ok) return page;
		const found = await list(services, caller, page.value);
		if (!found.ok) return found;
		const { rows, nextCursor } = cutPage(found.value, page.value, listing);
		return ok({ json: { tokens: rows.map(toToken), nextCursor } });
	},
);

export const revokeToken = route(
	{
		method: "delete",
		path: "/v1/tokens/{token}",
		id: "revokeToken",
		tag: "Tokens",
		permission: "tokens:write",
		operation: "revoke",
		params: schema.tokenParams,
		query: schema.revokeTokenQuery,
		status: 204,
		again: async ({ services, caller, query }) =>
			gone(await announceRevocation(services, caller, query.fence)),
	},
	async ({ services, caller, params, query }) =>
		gone(await revoke(services, caller, params.token, query.fence)),
);

function shown(made: Result<{ token: string; row: TokenRow }, Failure>): Result<Reply, Failure> {
	if (!made.ok) return made;
	return ok({ json: { ...toToken(made.value.row), token: made.value.token } });
}

function gone(revoked: Result<null, Failure>): Result<Reply, Failure> {
	return revoked.ok ? ok({ json: undefined }) : revoked;
}

function toToken(row: TokenRow) {
	return {
		id: row.id,
		name: row.name,
		role: row.role,
		keys: row.key_patterns,
		rateLimit: rateLimitOf(row),
		createdAt: row.created_at,
		expiresAt: row.expires_at,
		revokedAt: row.revoked_at,
	};
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function tokensDocs() {
	return {
		createToken: {
			summary: "Make a bearer token",
			description:
				"The answer shows the token; it is stored only as a hash and can not be read again, but by the same request with the same Idempotency-Key.",
			answer: { description: "The token", schema: answers.newToken },
			failures: ["scoped_token_forbidden"],
			examples: [
				{ body: { name: "ci", role: "signer", keys: ["releases-*"], expiresIn: 86400 } },
				{ body: { name: "webhooks", role: "signer", rateLimit: { quota: 100, windowSeconds: 1 } } },
			],
		},
		listTokens: {
			summary: "List tokens",
			answer: { description: "A page of tokens", schema: answers.tokenPage },
			failures: ["invalid_cursor", "scoped_token_forbidden"],
			examples: [{ query: { limit: "20" } }],
		},
		revokeToken: {
			summary: "Revoke a token",
			answer: { description: "It is revoked" },
			failures: ["token_not_found", "scoped_token_forbidden"],
			examples: [{ params: { token: "01900000-0000-7000-8000-000000000001" } }],
		},
	} as const satisfies Docs;
}

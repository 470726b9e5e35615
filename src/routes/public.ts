import * as z from "zod";
import { publishedKeys } from "../db/keys.ts";
import { type Failure, fail } from "../errors.ts";
import { toBase64Url, utf8 } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import { limits } from "../limits.ts";
import { text } from "../schemas/fields.ts";
import { jwks } from "../schemas/keys.ts";
import type { PublicDocument, Services } from "../services.ts";
import { algorithms } from "../signing/algorithms.ts";
import { keyIdOf, toJwksKey } from "../signing/jwt.ts";
import { publicRoute } from "./route.ts";

export const getJwks = publicRoute(
	{
		method: "get",
		path: "/t/{tenant}/.well-known/jwks.json",
		id: "getJwks",
		addressCost: 1,
		tag: "Public",
		summary: "The public keys that verify a tenant's signatures",
		description:
			"A JWK Set (RFC 7517 section 5): every version that verifies of every enabled key, the newest first, up to 1,000.",
		params: z.strictObject({
			tenant: text(limits.tenantChars, 1).meta({
				description: "The tenant's id.",
				example: "main",
			}),
		}),
		answer: {
			status: 200,
			description: "The JWK Set",
			schema: jwks,
			contentType: "application/jwk-set+json",
		},
		otherAnswers: [{ status: 304, description: "It is still the one of If-None-Match" }],
		failures: ["tenant_not_found"],
		examples: [{ params: { tenant: "main" } }],
	},
	async ({ services, params, raw }) => {
		const found = await jwksOf(services, params.tenant);
		if (!found.ok) return found;
		const { body, etag } = found.value;
		const headers = {
			"Access-Control-Allow-Origin": "*",
			"Cache-Control": `public, max-age=${limits.jwksMaxAgeSeconds}, stale-while-revalidate=${limits.jwksStaleSeconds}`,
			ETag: etag,
		};
		if (matches(raw.headers.get("if-none-match"), etag)) {
			return ok(new Response(null, { status: 304, headers }));
		}
		const typed = { ...headers, "Content-Type": "application/jwk-set+json" };
		return ok(new Response(body, { headers: typed }));
	},
);

async function jwksOf(
	{ db, documentCache }: Services,
	tenant: string,
): Promise<Result<PublicDocument, Failure>> {
	const cached = documentCache.get(tenant, "jwks");
	if (cached) return ok(cached);
	const since = documentCache.now();
	const rows = await publishedKeys(db, tenant);
	if (!rows) return fail("tenant_not_found", `There is no tenant "${tenant}".`);
	const keys = rows.flatMap((row) => {
		const alg = algorithms[row.algorithm].jose;
		return alg === null ? [] : [toJwksKey(row.public_jwk, keyIdOf(row.id, row.version), alg)];
	});
	const body = JSON.stringify({ keys });
	const hash = await crypto.subtle.digest("SHA-256", utf8(body));
	const document = { body, etag: `"${toBase64Url(new Uint8Array(hash))}"` };
	documentCache.set(tenant, "jwks", document, 2 * body.length, since);
	return ok(document);
}

/** RFC 9110 section 13.1.2: weak comparison over a list, or any. */
function matches(ifNoneMatch: string | null, etag: string): boolean {
	if (ifNoneMatch === null) return false;
	return ifNoneMatch.split(",").some((tag) => {
		const trimmed = tag.trim();
		return trimmed === "*" || trimmed.replace(/^W\//, "") === etag;
	});
}

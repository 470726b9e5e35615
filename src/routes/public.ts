import * as z from "zod/mini";
import { type PublishedRow, publishedKeys } from "../db/published-keys.ts";
import { type Failure, fail } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import { meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";
import type { AlgorithmName } from "../model.ts";
import { addressOf } from "../ratelimit/address.ts";
import { jwks } from "../schemas/answers/keys.ts";
import { text } from "../schemas/fields.ts";
import type { PublicDocument, Services } from "../services.ts";
import { algorithms } from "../signing/algorithms.ts";
import { keyIdOf, toJwksKey } from "../signing/jwt.ts";
import { limitLookUp } from "./admission.ts";
import { answerPublic, documentOf, notModified } from "./published.ts";
import { type Docs, publicRoute } from "./route.ts";

const contentType = "application/jwk-set+json";

/** The algorithms whose public keys JOSE knows, by its names for them. */
const published = new Map<string, AlgorithmName>();
for (const { name, jose, symmetric } of Object.values(algorithms)) {
	if (jose && !symmetric) published.set(jose, name);
}

export const getJwks = publicRoute(
	{
		method: "get",
		path: "/t/{tenant}/.well-known/jwks.json",
		id: "getJwks",
		addressCost: 1,
		tag: "Public",
		params: z.strictObject({
			tenant: meta(text(limits.tenantChars, 1), {
				description: "The tenant's id.",
				example: "main",
			}),
		}),
		query: z.strictObject({
			alg: meta(z.optional(z.enum([...published.keys()])), {
				description:
					"Only those of this algorithm, for readers that refuse a set with a key that they do not know.",
				example: "ES256",
			}),
		}),
	},
	async ({ services, params, query: { alg }, raw }) => {
		const found = await jwksOf(services, raw, params.tenant, alg);
		if (!found.ok) return found;
		return answerPublic(raw, found.value, contentType, limits.jwksMaxAgeSeconds);
	},
);

/** Who asks for a tenant that there is not pays as for a token that there is not: names can be made up. */
async function jwksOf(
	services: Services,
	raw: Request,
	tenant: string,
	alg: string | undefined,
): Promise<Result<PublicDocument, Failure>> {
	const { db, documentCache, addresses } = services;
	const nobody = fail("tenant_not_found", `There is no tenant "${tenant}".`);
	const name = alg === undefined ? "jwks" : `jwks ${alg}`;
	const cached = documentCache.get(tenant, name);
	if (cached !== undefined) return cached ? ok(cached) : nobody;
	const refusal = await limitLookUp(services, raw, limits.addressUnknownTokenCost);
	if (refusal) return refusal;
	const since = documentCache.now();
	let rows: PublishedRow[] | null | undefined;
	try {
		const wanted = [...published].filter(([jose]) => alg === undefined || jose === alg);
		const names = wanted.map(([, algorithm]) => algorithm);
		rows = await publishedKeys(db, tenant, names);
	} finally {
		// Also where Postgres is away: who asks meanwhile must not be shut out after it.
		const back = limits.addressUnknownTokenCost - limits.addressLookUpCost;
		if (rows !== null) addresses.giveBack(addressOf(raw), back);
	}
	if (!rows) {
		documentCache.setMissing(tenant, name, since);
		return nobody;
	}
	const keys = rows.flatMap((row) => {
		const alg = algorithms[row.algorithm].jose;
		return alg === null ? [] : [toJwksKey(row.public_jwk, keyIdOf(row.id, row.version), alg)];
	});
	const body = JSON.stringify({ keys });
	const document = documentOf(body);
	documentCache.set(tenant, name, document, 2 * body.length, since);
	return ok(document);
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function publicDocs() {
	return {
		getJwks: {
			summary: "The public keys that verify a tenant's signatures",
			description:
				"A JWK Set (RFC 7517 section 5): every version that verifies of every enabled key, the newest first, up to 1,000 (where there are more: current versions before older ones, keys that were made earlier before later ones); those of one algorithm with `alg`. Without those that were imported with their public half alone: others sign with them.",
			answer: {
				description: "The JWK Set",
				schema: jwks,
				contentType,
			},
			otherAnswers: [notModified],
			failures: ["tenant_not_found"],
			examples: [
				{ params: { tenant: "main" } },
				{ params: { tenant: "main" }, query: { alg: "ES256" } },
			],
		},
	} as const satisfies Docs;
}

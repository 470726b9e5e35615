import * as z from "zod/mini";
import { meta } from "../src/lib/zod.ts";
import { idempotencyHeaders } from "../src/schemas/headers.ts";
import type { DocumentedRoute } from "./routes.ts";

/** Whether an Idempotency-Key means something to it (routes/idempotent.ts). */
export function takesKey({ permission, method }: DocumentedRoute): boolean {
	return permission !== null && method !== "get";
}

const conditionalHeaders = z.object({
	"If-None-Match": meta(z.optional(z.string()), {
		description:
			"The ETag that is had already: a 304 where it still holds (RFC 9110 section 13.1.2).",
	}),
});

/** Those that a request may have; null for none. */
export function requestHeaders(route: DocumentedRoute): z.ZodMiniObject | null {
	if (isConditional(route)) return conditionalHeaders;
	if (!takesKey(route)) return null;
	const { headers } = route;
	return headers ? z.extend(idempotencyHeaders, headers.shape) : idempotencyHeaders;
}

function isConditional({ otherAnswers = [] }: DocumentedRoute): boolean {
	return otherAnswers.some((other) => other.status === 304);
}

/** What answers carry beside their body, once for all of them. */
export const headers = {
	"X-Request-Id": {
		description: "The request's id, by which our log and the audit log have it.",
		required: true,
		schema: { type: "string", format: "uuid" },
	},
	"RateLimit-Policy": {
		description:
			'The limit that has the least left: its name, its quota `q` and its window `w` in seconds (draft-ietf-httpapi-ratelimit-headers-10, `"sign";q=600;w=60`).',
		schema: { type: "string" },
	},
	RateLimit: {
		description:
			'What that limit has left, `r`, and the seconds until it would be full again, `t` (`"sign";r=599;t=1`).',
		schema: { type: "string" },
	},
	"X-RateLimit-Limit": { description: "Its quota.", schema: { type: "integer" } },
	"X-RateLimit-Remaining": { description: "What it has left.", schema: { type: "integer" } },
	"X-RateLimit-Reset": {
		description: "Seconds until it would be full again.",
		schema: { type: "integer" },
	},
	"Cache-Control": {
		description: "Whether anybody may keep it (RFC 9111): `no-store` but for what has an ETag.",
		schema: { type: "string" },
	},
	"Retry-After": {
		description: "Seconds after which it is worth asking again (RFC 9110 section 10.2.3).",
		schema: { type: "integer", minimum: 1 },
	},
	"WWW-Authenticate": {
		description:
			"`Bearer`, with `invalid_token` for an error where a token came (RFC 6750 section 3).",
		required: true,
		schema: { type: "string" },
	},
	ETag: {
		description: "The version of what is answered, in quotes (RFC 9110 section 8.8.3).",
		required: true,
		schema: { type: "string" },
	},
	"Idempotency-Replayed": {
		description: "It is the answer to an earlier request with the same Idempotency-Key.",
		schema: { type: "string", const: "true" },
	},
} as const;

type Name = keyof typeof headers;

/** Refused before anybody looks whether the key was there before. */
const beforeKey = [401, 408, 413, 415, 429];

/** The headers that an answer of this status has, or may have. */
export function answerHeaders(route: DocumentedRoute, status: number) {
	const isKept = takesKey(route) && status < 500 && !beforeKey.includes(status);
	const mayRetry = status === 429 || status === 503 || (status === 409 && takesKey(route));
	const names: readonly Name[] = [
		"X-Request-Id",
		"RateLimit-Policy",
		"RateLimit",
		"X-RateLimit-Limit",
		"X-RateLimit-Remaining",
		"X-RateLimit-Reset",
		"Cache-Control",
		...(mayRetry ? (["Retry-After"] as const) : []),
		...(status === 401 ? (["WWW-Authenticate"] as const) : []),
		...(hasEtag(route, status) ? (["ETag"] as const) : []),
		...(isKept ? (["Idempotency-Replayed"] as const) : []),
	];
	return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** What may be answered with 304 has one, and what says so. */
function hasEtag(route: DocumentedRoute, status: number): boolean {
	if (status === 304) return true;
	return status === route.status && (isConditional(route) || route.answer.hasEtag === true);
}

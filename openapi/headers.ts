import * as z from "zod/mini";
import { idempotencyHeaders } from "../src/schemas/headers.ts";
import type { DocumentedRoute } from "./routes.ts";

/** Whether an Idempotency-Key means something to it (routes/idempotent.ts). */
export function takesKey({ permission, method }: DocumentedRoute): boolean {
	return permission !== null && method !== "get";
}

/** Those of a request that takes a key. */
export function requestHeaders({ headers }: DocumentedRoute): z.ZodMiniObject {
	return headers ? z.extend(idempotencyHeaders, headers.shape) : idempotencyHeaders;
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
		...(mayRetry ? (["Retry-After"] as const) : []),
		...(status === 401 ? (["WWW-Authenticate"] as const) : []),
		...(hasEtag(route, status) ? (["ETag"] as const) : []),
		...(isKept ? (["Idempotency-Replayed"] as const) : []),
	];
	return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** What may be answered with 304 has one, and what says so. */
function hasEtag(
	{ answer, otherAnswers = [], ...route }: DocumentedRoute,
	status: number,
): boolean {
	const isConditional = otherAnswers.some((other) => other.status === 304);
	return status === 304 || (status === route.status && (isConditional || answer.hasEtag === true));
}

import { errorTable, type Failure } from "../errors.ts";
import * as limits from "../limits.ts";
import type { LimitState } from "../ratelimit/messages.ts";
import { setRateHeaders } from "./rate-headers.ts";

/** Headers that every answer carries. Nothing the service says may be sniffed, framed or kept, unless a route says so. */
const baseHeaders = new Headers({
	"Cache-Control": "no-store",
	"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	"Strict-Transport-Security": "max-age=63072000; includeSubDomains",
	"X-Content-Type-Options": "nosniff",
});
const jsonHeaders = withType("application/json");
const problemHeaders = withType("application/problem+json");

function withType(contentType: string): Headers {
	const headers = new Headers(baseHeaders);
	headers.set("Content-Type", contentType);
	return headers;
}

/** A JSON answer. The headers are made once and copied by the platform, which is cheaper than making them anew. */
export function jsonResponse(
	json: unknown,
	status: number,
	requestId: string,
	limit: LimitState | null,
): Response {
	const response = new Response(JSON.stringify(json), { status, headers: jsonHeaders });
	response.headers.set("X-Request-Id", requestId);
	if (limit) setRateHeaders(response.headers, limit);
	return response;
}

/** Any other answer: its own headers win over those that every answer carries. */
export function withBaseHeaders(
	answer: Response,
	requestId: string,
	limit: LimitState | null = null,
): Response {
	const headers = new Headers(baseHeaders);
	for (const [name, value] of answer.headers) headers.set(name, value);
	headers.set("X-Request-Id", requestId);
	if (limit) setRateHeaders(headers, limit);
	return new Response(answer.body, { status: answer.status, headers });
}

/** A failure as a problem document (RFC 9457 section 3), with its headers. */
export function problemResponse(
	failure: Failure,
	requestId: string,
	limit: LimitState | null = null,
): Response {
	const { status, title } = errorTable[failure.code];
	const headers = new Headers(problemHeaders);
	headers.set("X-Request-Id", requestId);
	if (status === 401) headers.set("WWW-Authenticate", challenge(failure));
	if (status === 503 || failure.retryAfterMs !== undefined) {
		headers.set("Retry-After", String(retryAfter(failure)));
	}
	if (limit) setRateHeaders(headers, limit);
	if (failure.isReplay) headers.set("Idempotency-Replayed", "true");
	const body = {
		type: `/docs#${failure.code}`,
		title,
		status,
		detail: failure.detail,
		code: failure.code,
		requestId,
		...(failure.errors && { errors: failure.errors }),
		// As in draft-ietf-httpapi-ratelimit-headers-10, section "Problem Types".
		...(failure.violatedPolicies && { "violated-policies": failure.violatedPolicies }),
	};
	return new Response(JSON.stringify(body), { status, headers });
}

/** Whole seconds (RFC 9110 section 10.2.3), rounded up: never too early. */
function retryAfter({ retryAfterMs = 0 }: Failure): number {
	return Math.max(limits.retryAfterSeconds, Math.ceil(retryAfterMs / 1000));
}

/** RFC 6750 section 3: an error is named only when a token was sent. */
function challenge(failure: Failure): string {
	const realm = 'Bearer realm="edgesign"';
	return failure.code === "missing_token" ? realm : `${realm}, error="invalid_token"`;
}

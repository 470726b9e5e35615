import { errorTable, type Failure } from "../errors.ts";
import { limits } from "../limits.ts";

/** Headers that every answer carries. Nothing the service says may be sniffed, framed or kept, unless a route says so. */
export function baseHeaders(requestId: string): Headers {
	return new Headers({
		"Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"Strict-Transport-Security": "max-age=63072000; includeSubDomains",
		"X-Content-Type-Options": "nosniff",
		"X-Request-Id": requestId,
	});
}

/** A failure as a problem document (RFC 9457 section 3), with its headers. */
export function problemResponse(failure: Failure, requestId: string): Response {
	const { status, title } = errorTable[failure.code];
	const headers = baseHeaders(requestId);
	headers.set("Content-Type", "application/problem+json");
	if (status === 401) headers.set("WWW-Authenticate", challenge(failure));
	if (status === 503) headers.set("Retry-After", String(limits.retryAfterSeconds));
	const body = {
		type: `/docs#${failure.code}`,
		title,
		status,
		detail: failure.detail,
		code: failure.code,
		requestId,
		...(failure.errors && { errors: failure.errors }),
	};
	return new Response(JSON.stringify(body), { status, headers });
}

/** RFC 6750 section 3: an error is named only when a token was sent. */
function challenge(failure: Failure): string {
	const realm = 'Bearer realm="edgesign"';
	return failure.code === "missing_token" ? realm : `${realm}, error="invalid_token"`;
}

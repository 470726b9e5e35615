import { type Bytes, toBase64Url, utf8 } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import { sha256 } from "../lib/sha256.ts";
import type { PublicDocument } from "../services.ts";
import type { Reply } from "./route.ts";

/** The other answer of every route that has an ETag of its content. */
export const notModified = {
	status: 304,
	description: "It is still the one of If-None-Match",
} as const;

/** With a strong ETag (RFC 9110 section 8.8.3), which every isolate makes the same of the same content. */
export function documentOf<Body extends string | Bytes>(body: Body): PublicDocument<Body> {
	const bytes: Uint8Array = typeof body === "string" ? utf8(body) : (body as Bytes);
	return { body, etag: `"${toBase64Url(sha256(bytes))}"` };
}

/** For anyone, from any page. Whoever has it may show it for as long again while it is asked for anew (RFC 5861). */
export function answerPublic(
	raw: Request,
	document: PublicDocument,
	contentType: string,
	maxAgeSeconds: number,
): Result<Reply, never> {
	return answerDocument(raw, document, contentType, {
		"Access-Control-Allow-Origin": "*",
		"Cache-Control": `public, max-age=${maxAgeSeconds}, stale-while-revalidate=${maxAgeSeconds}`,
	});
}

/** For the caller alone, who asks each time whether it is still the one: their own change is seen at once. */
export function answerPrivate(
	raw: Request,
	document: PublicDocument<string | Bytes>,
	contentType: string,
): Result<Reply, never> {
	return answerDocument(raw, document, contentType, { "Cache-Control": "private, no-cache" });
}

function answerDocument(
	raw: Request,
	{ body, etag: ETag }: PublicDocument<string | Bytes>,
	contentType: string,
	headers: Record<string, string>,
): Result<Reply, never> {
	if (matches(raw.headers.get("if-none-match"), ETag)) {
		return ok(new Response(null, { status: 304, headers: { ...headers, ETag } }));
	}
	const typed = { ...headers, ETag, "Content-Type": contentType };
	return ok(new Response(body, { headers: typed }));
}

/** RFC 9110 section 13.1.2: weak comparison over a list, or any. */
function matches(ifNoneMatch: string | null, etag: string): boolean {
	if (ifNoneMatch === null) return false;
	if (ifNoneMatch.trim() === "*") return true;
	return ifNoneMatch.match(/"[^"]*"/g)?.includes(etag) ?? false;
}

import type * as z from "zod/mini";
import { type ErrorCode, errorTable, type Failure, type FieldError, fail } from "../errors.ts";
import { parseJson } from "../lib/json.ts";
import { type Err, err, ok, type Result } from "../lib/result.ts";
import { type Within, within } from "../lib/within.ts";
import * as limits from "../limits.ts";

/**
 * The JSON of a body, of a bounded size and depth; undefined for an empty one. `hold` is asked for room before
 * it is parsed: for what came, because what was declared costs a sender nothing.
 */
export async function readJson(
	request: Request,
	maxBytes: number,
	hold: (bytes: number) => boolean,
	waiting: Within = within,
): Promise<Result<unknown, Failure>> {
	const declared = request.headers.get("content-length");
	// What has a length has a body, and to ask for that would make a stream which nobody reads.
	if (declared === "0" || (declared === null && request.body === null)) return ok(undefined);
	const unsupported = refuseType(request.headers);
	if (unsupported && declared !== null) return unsupported;
	// Whether there is anything in a body without a length shows when it is read: of a wrong type, the first byte.
	const most = unsupported
		? { bytes: 0, beyond: unsupported }
		: { bytes: maxBytes, beyond: tooLarge(maxBytes, declared) };
	const reading = readText(request, declared, most).catch(brokenOff);
	// A body that is held back ends as a refusal; what still comes of it is not waited for.
	const text = await waiting(reading, limits.bodyTimeoutMs, () =>
		fail("body_timeout", `The body must be there within ${limits.bodyTimeoutMs} ms.`),
	);
	if (!text.ok) return text;
	if (text.value === "") return ok(undefined);
	if (!hold(text.value.length)) return noRoom();
	// The platform's decoder puts U+FFFD where bytes are not UTF-8. What was lost can not be signed.
	if (text.value.includes("\uFFFD")) {
		return fail(
			"invalid_json",
			"The body is not UTF-8, or has U+FFFD, which stands for lost bytes.",
		);
	}
	const parsed = parseJson(text.value, limits.jsonDepth, limits.jsonNames);
	if (parsed.ok) return parsed;
	if (parsed.error === "too_deep") {
		return fail("too_deep", `JSON may be nested ${limits.jsonDepth} levels deep, not more.`);
	}
	return fail("invalid_json", whyInvalid[parsed.error]);
}

const whyInvalid = {
	invalid_json: "The body can not be parsed as JSON (RFC 8259).",
	repeated_name:
		"An object of the body has a name twice: readers of JSON do not agree on which one holds.",
	inexact_number:
		"A number of the body has more digits than a double holds (RFC 7493 section 2.2): send it as a string.",
	too_many_names: `The body's objects may have ${limits.jsonNames} names in all, not more.`,
};

function refuseType(headers: Headers): Err<Failure> | null {
	const mediaType = headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
	if (mediaType !== "application/json") {
		const given = mediaType ? `"${cut(mediaType, limits.valueCharsShown)}"` : "none";
		return fail("unsupported_media_type", `Send Content-Type: application/json, not ${given}.`);
	}
	const coding = headers.get("content-encoding")?.trim().toLowerCase();
	if (!coding || coding === "identity") return null;
	const shown = cut(coding, limits.valueCharsShown);
	return fail(
		"unsupported_media_type",
		`Send the body without Content-Encoding, not as "${shown}".`,
	);
}

function tooLarge(maxBytes: number, declared: string | null) {
	return fail("body_too_large", `This route takes ${maxBytes} bytes, not ${declared ?? "more"}.`);
}

/** The sender went, or its chunks are none (RFC 9112 section 8): that is no fault of ours. */
function brokenOff() {
	return fail("invalid_json", "The body broke off before its end.");
}

function noRoom() {
	const detail = "The service has no memory left for a body of this size now.";
	return err<Failure>({ code: "overloaded", detail, retryAfterMs: limits.shedRetryMs });
}

/** Throws where the body breaks off. */
async function readText(
	request: Request,
	declared: string | null,
	most: { readonly bytes: number; readonly beyond: Err<Failure> },
): Promise<Result<string, Failure>> {
	if (declared !== null) {
		// The runtime holds the sender to the length that was declared.
		if (Number(declared) <= most.bytes) return ok(await request.text());
		// It is too large whether or not the rest of it comes.
		if (Number(declared) <= limits.bodyBytesDrained) await drain(request).catch(() => {});
		return most.beyond;
	}
	const decoder = new TextDecoder();
	let text = "";
	let length = 0;
	for await (const chunk of request.body ?? []) {
		length += chunk.byteLength;
		if (length > most.bytes) return most.beyond;
		text += decoder.decode(chunk, { stream: true });
	}
	return ok(text + decoder.decode());
}

/** Who is cut off while it sends may never see the answer (RFC 9112, 9.6): what comes is read, and let go. */
async function drain({ body }: Request): Promise<void> {
	const reader = body?.getReader({ mode: "byob" });
	let buffer = new Uint8Array(limits.bodyBytesDrainedAtOnce);
	while (reader) {
		const { done, value } = await reader.readAtLeast(buffer.length, buffer);
		if (done) return;
		buffer = new Uint8Array(value.buffer);
	}
}

/** Checks a value by its schema; a failure names every field that is wrong, and the first one's code. */
export function check<T>(schema: z.ZodMiniType<T>, value: unknown): Result<T, Failure> {
	const parsed = schema.safeParse(value);
	if (parsed.success) return ok(parsed.data);
	const errors = parsed.error.issues
		.slice(0, limits.fieldErrorsShown)
		.flatMap((issue) => toFieldErrors(issue, value));
	const [first] = errors;
	if (!first) return fail("invalid_request", "The request does not match its schema.");
	return fail(first.code, `${first.pointer || "The body"}: ${first.detail}`, errors);
}

function toFieldErrors(issue: z.core.$ZodIssue, value: unknown): FieldError[] {
	if (issue.code === "unrecognized_keys") {
		return issue.keys.slice(0, limits.fieldErrorsShown).map((key) => ({
			pointer: pointerTo([...issue.path, cut(key, limits.fieldNameCharsShown)]),
			code: "unknown_field" as const,
			detail: "There is no such field here.",
		}));
	}
	const found = valueAt(issue.path, value);
	const shown = showValue(issue.path, found) ?? showSize(issue, found);
	const detail = shown === null ? `${issue.message}.` : `${issue.message}, not ${shown}.`;
	return [{ pointer: pointerTo(issue.path), code: codeOf(issue), detail }];
}

/** A schema may name the code of its refusal; every other refusal is of the request's shape. */
function codeOf(issue: z.core.$ZodIssue): ErrorCode {
	const named = issue.code === "custom" ? issue.params?.code : undefined;
	return typeof named === "string" && Object.hasOwn(errorTable, named)
		? (named as ErrorCode)
		: "invalid_request";
}

/** Fields whose value is never repeated, because it may be a secret or very long. */
const unshown = new Set<PropertyKey>([
	"key",
	"message",
	"digest",
	"signature",
	"claims",
	"publicKey",
]);

/** undefined where there is none. */
function valueAt(path: readonly PropertyKey[], value: unknown): unknown {
	let at: unknown = value;
	for (const part of path) {
		if (typeof at !== "object" || at === null || !Object.hasOwn(at, part)) return undefined;
		at = (at as Record<PropertyKey, unknown>)[part];
	}
	return at;
}

/** The refused value, where it is short and no secret. A number that no double holds was read as Infinity. */
function showValue(path: readonly PropertyKey[], value: unknown): string | null {
	if (path.some((part) => unshown.has(part))) return null;
	if (typeof value === "object" || value === undefined) return null;
	const text = typeof value === "number" ? String(value) : JSON.stringify(value);
	return text.length <= limits.valueCharsShown ? text : null;
}

/** Of what is too long or too short, and not shown itself. */
function showSize({ code }: z.core.$ZodIssue, value: unknown): string | null {
	if (code !== "too_big" && code !== "too_small") return null;
	return typeof value === "string" || Array.isArray(value) ? String(value.length) : null;
}

/** RFC 6901; half a surrogate pair, which no reader of JSON has to take (RFC 7493 section 2.1), becomes U+FFFD. */
function pointerTo(path: readonly PropertyKey[]): string {
	return path
		.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`)
		.join("")
		.toWellFormed();
}

/** At the most so long, and not in the middle of a surrogate pair. */
function cut(text: string, chars: number): string {
	return text.length <= chars ? text : text.slice(0, chars).replace(/[\ud800-\udbff]$/, "");
}

import { type Failure, fail } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import * as limits from "../limits.ts";

/** A string of RFC 9651 section 3.3.3, whose only escapes are of the quote and of the backslash. */
const quotedString = /^"((?:[^"\\]|\\["\\])*)"$/;
const visibleAscii = /^[\x21-\x7e]+$/;

/**
 * The value of the header Idempotency-Key: quoted, as the IETF draft "The Idempotency-Key HTTP Header
 * Field" has it, or as it is, as most clients send it. Both forms name the same key.
 */
export function parseIdempotencyKey(header: string): Result<string, Failure> {
	const quoted = quotedString.exec(header)?.[1];
	const key = quoted?.replace(/\\(.)/g, "$1") ?? header;
	const isPlain = quoted !== undefined || !header.startsWith('"');
	if (isPlain && key.length <= limits.idempotencyKeyChars && visibleAscii.test(key)) return ok(key);
	return fail(
		"invalid_idempotency_key",
		`Idempotency-Key must be 1 to ${limits.idempotencyKeyChars} visible ASCII characters, in quotes or without.`,
	);
}

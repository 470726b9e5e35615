import { z } from "zod";
import type { ErrorCode } from "../errors.ts";
import { fromBase64 } from "../lib/bytes.ts";
import { isUuid } from "../lib/uuid.ts";
import { limits } from "../limits.ts";
import type { Bytes } from "../signing/types.ts";

/** The parameter of a custom issue that names the code of its refusal (routes/input.ts reads it). */
const refusal = (code: ErrorCode) => ({ code });

/** base64 or base64url, padded or not; `maxBytes` of decoded bytes at the most. */
export function base64(maxBytes: number, tooLarge: ErrorCode = "invalid_request") {
	return z.string().transform((text, context): Bytes => {
		// Four characters hold three bytes: what is far too long is not decoded at all.
		const bytes = text.length <= Math.ceil(maxBytes / 3) * 4 ? fromBase64(text) : undefined;
		if (bytes && bytes.length <= maxBytes) return bytes;
		const code = bytes === null ? "invalid_base64" : tooLarge;
		const message =
			bytes === null
				? "must be base64 (RFC 4648 section 4 or 5)"
				: `must be ${maxBytes} bytes at the most`;
		context.issues.push({ code: "custom", params: refusal(code), message, input: text });
		return z.NEVER;
	});
}

export const message = base64(limits.messageBytes, "message_too_large").meta({
	description: "What is signed, in base64; at the most 1 MiB. Either this or `digest`.",
});

export const digest = base64(64).meta({
	description:
		"The digest of what is signed, in base64: SHA-256 for ES256, ES256K and BIP340 (any 32 bytes), SHA-384 for ES384, SHA-512 for ES512.",
});

const keyNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export const keyName = z
	.string()
	.max(limits.keyNameChars)
	.regex(keyNamePattern, "must begin with a letter or digit and have only letters, digits, . _ -")
	.refine((name) => !isUuid(name), "must not have the form of an id")
	.meta({ description: "Unique in the tenant.", example: "payments" });

/** In a path: what no key can be called finds none, so any short text is let through. */
export const keyRef = z
	.string()
	.min(1)
	.max(limits.keyNameChars)
	.meta({ description: "The key's id or its name.", example: "payments" });

export const versionNumber = z.int().min(1).max(limits.keyVersions);

/** The same in a query, where everything is text. */
export const versionText = z
	.string()
	.regex(/^[1-9][0-9]{0,3}$/, "must be a whole number from 1")
	.transform(Number)
	.meta({ description: "A version; the current one when it is left out." });

const tagName = z
	.string()
	.min(1)
	.max(limits.tagNameChars)
	.regex(/^[A-Za-z0-9._/-]+$/, "must have only letters, digits, . _ / -");

export const tags = z
	.record(tagName, z.string().max(limits.tagValueChars))
	.refine(
		(value) => Object.keys(value).length <= limits.tagsPerKey,
		`must have ${limits.tagsPerKey} tags at the most`,
	)
	.meta({ description: "Your own labels.", example: { team: "payments" } });

export const id = z.uuid().meta({ description: "A UUID of version 7 (RFC 9562)." });

export const timestamp = z.iso.datetime().meta({ example: "2026-11-21T10:00:00.000Z" });

export const pageSize = z
	.string()
	.regex(/^[1-9][0-9]{0,2}$/, "must be a whole number from 1")
	.transform(Number)
	.refine((size) => size <= limits.pageSizeMax, `must be ${limits.pageSizeMax} at the most`)
	.meta({ description: `Entries a page; ${limits.pageSizeDefault} when it is left out.` });

export const cursor = z.string().max(64).meta({ description: "`nextCursor` of the page before." });

export const nextCursor = z
	.string()
	.nullable()
	.meta({ description: "Send it as `cursor` for the next page; null on the last one." });

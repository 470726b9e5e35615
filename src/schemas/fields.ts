import * as z from "zod/mini";
import type { ErrorCode } from "../errors.ts";
import { type Bytes, fromBase64 } from "../lib/bytes.ts";
import { isUuid } from "../lib/uuid.ts";
import { integer, meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";

/** The parameter of a custom issue that names the code of its refusal (routes/input.ts reads it). */
const refusal = (code: ErrorCode) => ({ code });

/** base64 or base64url, padded or not; `maxBytes` of decoded bytes at the most. */
function base64(maxBytes: number, tooLarge: ErrorCode = "invalid_request") {
	return z.pipe(
		z.string(),
		z.transform((text, context): Bytes => {
			// Four characters hold three bytes: what is far too long is not decoded at all.
			const bytes = text.length <= Math.ceil(maxBytes / 3) * 4 ? fromBase64(text) : undefined;
			if (bytes && bytes.length <= maxBytes) return bytes;
			const code = bytes === null ? "invalid_base64" : tooLarge;
			const padding = text.endsWith("==") ? 2 : Number(text.endsWith("="));
			const size = bytes?.length ?? Math.floor(((text.length - padding) * 3) / 4);
			const message =
				bytes === null
					? "must be base64 (RFC 4648 section 4 or 5)"
					: `must be ${maxBytes} bytes at the most, not ${size}`;
			context.issues.push({ code: "custom", params: refusal(code), message, input: text });
			return z.NEVER;
		}),
	);
}

/** No control characters, told in a way that every language's patterns know. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it refuses
const printable = /^[^\x00-\x1f\x7f-\x9f]*$/;

/** Text that can be stored, shown and logged: no control characters, no half of a surrogate pair. */
export function text(maxChars: number, minChars = 0) {
	return z.string().check(
		z.minLength(minChars),
		z.maxLength(maxChars),
		z.regex(printable, "must have no control characters"),
		z.refine((value) => value.isWellFormed(), "must be well-formed Unicode"),
	);
}

/** In a query, where everything is text; the document has the number. */
export function integerText(min: number, max: number) {
	const rule = `must be a whole number from ${min} to ${max}`;
	const isWithin = (text: string) =>
		/^[0-9]{1,10}$/.test(text) && Number(text) >= min && Number(text) <= max;
	return meta(z.pipe(z.string().check(z.refine(isWithin, rule)), z.transform(Number)), {
		override: { type: "integer", minimum: min, maximum: max },
	});
}

/** Any JSON object, taken as it is: a copy would lose a member called `__proto__`. */
export function jsonObject() {
	return meta(
		z.custom<Readonly<Record<string, unknown>>>(
			(value) => typeof value === "object" && value !== null && !Array.isArray(value),
			"must be an object",
		),
		{ override: { type: "object", additionalProperties: true } },
	);
}

export const message = meta(base64(limits.messageBytes, "message_too_large"), {
	description: "What is signed, in base64; at the most 1 MiB. Either this or `digest`.",
	type: "string",
});

/** Looser than any digest, so that the algorithm says how long its own must be. */
export const digest = meta(base64(limits.messageBytes, "invalid_digest_length"), {
	type: "string",
	description:
		"The digest of what is signed, in base64: SHA-256 for ES256, ES256K and BIP340 (any 32 bytes), SHA-384 for ES384, SHA-512 for ES512.",
});

const keyNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export const keyName = meta(
	z.string().check(
		z.maxLength(limits.keyNameChars),
		z.regex(
			keyNamePattern,
			"must begin with a letter or digit and have only letters, digits, . _ -",
		),
		z.refine((name) => !isUuid(name.toLowerCase()), "must not have the form of an id"),
	),
	{
		description: "Unique in the tenant, and not of the form of an id.",
		example: "payments",
		override: { not: { pattern: "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$" } },
	},
);

/** An id is one id in either case (RFC 9562 section 4), and is compared as text; a name is not. */
function inLowerCaseIfId(ref: string): string {
	const lower = ref.toLowerCase();
	return isUuid(lower) ? lower : ref;
}

/** In a path: what no key can be called finds none, so any short text is let through. */
export const keyRef = meta(text(limits.keyNameChars, 1).check(z.overwrite(inLowerCaseIfId)), {
	description: "The key's id or its name.",
	example: "payments",
});

export const versionNumber = meta(integer(1, limits.keyVersions), {
	description: "A version of the key; the first is 1.",
});

/** The same in a query, where everything is text. */
export const versionText = meta(integerText(1, limits.keyVersions), {
	description: "A version; the current one when it is left out.",
});

const tagNamePattern = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,${limits.tagNameChars - 1}}$`);
const tagValue = text(limits.tagValueChars);

function isTagValue(value: unknown): boolean {
	return tagValue.safeParse(value).success;
}

export const tags = meta(
	z.pipe(
		jsonObject().check(
			z.superRefine((value, context) => {
				const entries = Object.entries(value);
				if (entries.length > limits.tagsPerKey) {
					const rule = `must have ${limits.tagsPerKey} tags at the most, not ${entries.length}`;
					context.addIssue({ code: "custom", message: rule });
				}
				for (const [name, tag] of entries.slice(0, limits.tagsPerKey)) {
					if (!tagNamePattern.test(name)) {
						const rule = `the name of a tag must begin with a letter or digit and have 1 to ${limits.tagNameChars} letters, digits, . _ / -`;
						context.addIssue({ code: "custom", path: [name], message: rule });
					} else if (!isTagValue(tag)) {
						const rule = `must be a text of ${limits.tagValueChars} characters at the most, without control characters`;
						context.addIssue({ code: "custom", path: [name], message: rule });
					}
				}
			}),
		),
		z.transform((value) => value as Readonly<Record<string, string>>),
	),
	{
		description: `Your own labels, ${limits.tagsPerKey} at the most. A name begins with a letter or digit and has 1 to ${limits.tagNameChars} letters, digits, . _ / -.`,
		example: { team: "payments" },
		override: {
			type: "object",
			propertyNames: { pattern: tagNamePattern.source },
			additionalProperties: {
				type: "string",
				maxLength: limits.tagValueChars,
				pattern: printable.source,
			},
			maxProperties: limits.tagsPerKey,
		},
	},
);

/** Either case comes in (RFC 9562 section 4); everything below compares ids as text. */
export const id = meta(z.uuid().check(z.toLowerCase()), {
	description: "A UUID of version 7 (RFC 9562).",
});

export const timestamp = meta(z.iso.datetime(), { example: "2026-11-21T10:00:00.000Z" });

export const fence = meta(
	z.pipe(
		z.enum(["true", "false"]),
		z.transform((value) => value === "true"),
	),
	{
		description:
			"`true`: answer only when nobody acts on what was before any more, a lease's life later (2 s).",
	},
);

export const pageSize = meta(integerText(1, limits.pageSizeMax), {
	description: `Entries a page, 1 to ${limits.pageSizeMax}; ${limits.pageSizeDefault} when it is left out.`,
});

export const cursor = meta(z.string().check(z.maxLength(limits.cursorChars)), {
	description: "`nextCursor` of the page before.",
});

export const nextCursor = meta(z.nullable(z.string()), {
	description: "Send it as `cursor` for the next page; null on the last one.",
});

type End = number | string | undefined;

/** Of a query with both ends of a span: an empty page for one that ends before it begins would say that nothing was there. */
export const spanInOrder = z.refine<{ from?: End; to?: End }>(
	// An end that is none is refused by itself.
	({ from, to }) => !isEnd(from) || !isEnd(to) || typeof from !== typeof to || from <= to,
	{ path: ["to"], error: "must not be before `from`" },
);

function isEnd(value: End): value is number | string {
	return typeof value === "number" || (value !== undefined && /^\d{4}-\d\d-\d\d$/.test(value));
}

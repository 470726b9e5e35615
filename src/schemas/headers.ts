import * as z from "zod/mini";
import { meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";

const hours = limits.idempotencyKeptMs / 3_600_000;

/** Of a request that changes what has versions. RFC 9110 section 13.1.1. */
export const ifMatchHeaders = z.object({
	"If-Match": meta(z.optional(z.string().check(z.minLength(1))), {
		description:
			"The versions that may be replaced, in quotes, as the `ETag` has them; 412 when the current one is another. Any is replaced with `*`, or without the header.",
		example: '"3"',
	}),
});

/** Of every request that may change something or sign. Read by src/idempotency/header.ts, in either form. */
export const idempotencyHeaders = z.object({
	"Idempotency-Key": meta(
		z.optional(z.string().check(z.minLength(1), z.maxLength(limits.idempotencyKeyChars))),
		{
			description: `Makes the request safe to repeat: for ${hours} hours the same key of the same token gets the first answer again, with \`Idempotency-Replayed: true\`. Visible ASCII, with or without quotes; a UUID is fine. The request has to be the same, the order of its JSON's members too.`,
			example: "8e03978e-40d5-43dd-bc93-6894a57f9324",
		},
	),
});

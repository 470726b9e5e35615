import * as z from "zod/mini";
import { integer, meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";
import { roles } from "../model.ts";
import { cursor, fence, id, pageSize, text } from "./fields.ts";

const pattern = meta(
	z
		.string()
		.check(
			z.minLength(1),
			z.maxLength(limits.keyNameChars),
			z.regex(/^[A-Za-z0-9._*-]+$/, "must have only letters, digits, . _ - and *"),
		),
	{ description: "A glob over key names: `*` stands for any characters." },
);

export const patterns = z.array(pattern).check(z.minLength(1), z.maxLength(limits.tokenPatterns));

export const rateLimit = meta(
	z.strictObject({
		quota: meta(integer(1, limits.quotaMax), {
			description: "Operations.",
		}),
		windowSeconds: integer(1, limits.quotaWindowSecondsMax),
	}),
	{
		id: "TokenRateLimit",
		description: "`quota` operations in `windowSeconds`, of this token alone.",
	},
);

export const createTokenBody = z.strictObject({
	name: meta(text(limits.tokenNameChars, 1), { description: "What the token is for, for people." }),
	role: meta(z.enum(roles), { description: "What the token may do." }),
	keys: meta(z.optional(patterns), {
		description: "The keys that the token is for; every key when it is left out.",
		example: ["payments-*"],
	}),
	expiresIn: meta(z.optional(integer(1, limits.tokenLifetimeSecondsMax)), {
		description: "Seconds from now; a token without it does not expire.",
	}),
	rateLimit: meta(z.optional(rateLimit), {
		description: "A limit of its own, beside those of its role and tenant; none when left out.",
	}),
});

export const revokeTokenQuery = z.strictObject({ fence: z.optional(fence) });

export const tokenParams = z.strictObject({ token: id });

export const listTokensQuery = z.strictObject({
	limit: z.optional(pageSize),
	cursor: z.optional(cursor),
});

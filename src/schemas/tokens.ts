import * as z from "zod";
import { limits } from "../limits.ts";
import { roles } from "../model.ts";
import { cursor, fence, id, nextCursor, pageSize, text, timestamp } from "./fields.ts";

const pattern = z
	.string()
	.min(1)
	.max(limits.keyNameChars)
	.regex(/^[A-Za-z0-9._*-]+$/, "must have only letters, digits, . _ - and *")
	.meta({ description: "A glob over key names: `*` stands for any characters." });

const patterns = z.array(pattern).min(1).max(limits.tokenPatterns);

const rateLimit = z
	.strictObject({
		quota: z.int().min(1).max(limits.quotaMax).meta({ description: "Operations." }),
		windowSeconds: z.int().min(1).max(limits.quotaWindowSecondsMax),
	})
	.meta({
		id: "TokenRateLimit",
		description: "`quota` operations in `windowSeconds`, of this token alone.",
	});

export const createTokenBody = z.strictObject({
	name: text(limits.tokenNameChars, 1).meta({ description: "What the token is for, for people." }),
	role: z.enum(roles).meta({ description: "What the token may do." }),
	keys: patterns.optional().meta({
		description: "The keys that the token is for; every key when it is left out.",
		example: ["payments-*"],
	}),
	expiresIn: z
		.int()
		.min(1)
		.max(limits.tokenLifetimeSecondsMax)
		.optional()
		.meta({ description: "Seconds from now; a token without it does not expire." }),
	rateLimit: rateLimit.optional().meta({
		description: "A limit of its own, beside those of its role and tenant; none when left out.",
	}),
});

export const revokeTokenQuery = z.strictObject({ fence: fence.optional() });

export const tokenParams = z.strictObject({ token: id });

export const listTokensQuery = z.strictObject({
	limit: pageSize.optional(),
	cursor: cursor.optional(),
});

const token = z
	.object({
		id,
		name: z.string(),
		role: z.enum(roles),
		keys: patterns.nullable(),
		rateLimit: rateLimit.nullable(),
		createdAt: timestamp,
		expiresAt: timestamp.nullable(),
		revokedAt: timestamp.nullable(),
	})
	.meta({ id: "Token" });

export const newToken = token
	.extend({
		token: z.string().meta({
			description: "The bearer token itself. It is shown here once and can not be read again.",
		}),
	})
	.meta({ id: "NewToken" });

export const tokenPage = z.object({ tokens: z.array(token), nextCursor }).meta({ id: "TokenPage" });

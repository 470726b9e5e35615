import * as z from "zod/mini";
import { meta } from "../../lib/zod.ts";
import { roles } from "../../model.ts";
import { id, nextCursor, timestamp } from "../fields.ts";
import { patterns, rateLimit } from "../tokens.ts";

const token = meta(
	z.object({
		id,
		name: z.string(),
		role: z.enum(roles),
		keys: z.nullable(patterns),
		rateLimit: z.nullable(rateLimit),
		createdAt: timestamp,
		expiresAt: z.nullable(timestamp),
		revokedAt: z.nullable(timestamp),
	}),
	{ id: "Token" },
);

export const newToken = meta(
	z.extend(token, {
		token: meta(z.string(), {
			description: "The bearer token itself. It is shown here once: keep it.",
		}),
	}),
	{ id: "NewToken" },
);

export const tokenPage = meta(z.object({ tokens: z.array(token), nextCursor }), {
	id: "TokenPage",
});

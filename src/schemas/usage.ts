import * as z from "zod/mini";
import { meta } from "../lib/zod.ts";
import { cursor, id, pageSize, spanInOrder } from "./fields.ts";

/** No year 0, which Postgres does not have. */
export const day = meta(
	z.iso.date().check(z.refine((text) => text >= "0001", "is before the year 1")),
	{
		example: "2026-11-21",
	},
);

export const listUsageQuery = z
	.strictObject({
		by: meta(z.optional(z.enum(["day", "target"])), {
			description: "A row a day (the default), or a row for each key or token of a day.",
		}),
		target: meta(z.optional(id), { description: "Only of the key or token with this id." }),
		from: meta(z.optional(day), {
			description: "From this day (UTC) on; 30 days before `to` if left out.",
		}),
		to: meta(z.optional(day), { description: "Up to this day (UTC); today if left out." }),
		limit: z.optional(pageSize),
		cursor: z.optional(cursor),
	})
	.check(spanInOrder);

export const listUsedKeysQuery = z.strictObject({
	limit: z.optional(pageSize),
	cursor: z.optional(cursor),
});

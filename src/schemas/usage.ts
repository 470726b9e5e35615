import * as z from "zod/mini";
import { meta } from "../lib/zod.ts";
import { cursor, id, nextCursor, pageSize, spanInOrder, timestamp } from "./fields.ts";

/** No year 0, which Postgres does not have. */
export const day = meta(
	z.iso.date().check(z.refine((text) => text >= "0001", "is before the year 1")),
	{
		example: "2026-11-21",
	},
);
const count = z.int().check(z.minimum(0));

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

export const usagePage = meta(
	z.object({
		usage: z.array(
			z.object({
				day,
				targetId: meta(z.nullable(id), {
					description: "null for all together, and for what named none by its id.",
				}),
				signatures: count,
				invalid: meta(count, {
					description: "Signatures that did not verify; those that did have no record.",
				}),
				refused: meta(count, {
					description: "Of a key where it was found; what else was named may not be there.",
				}),
				changes: count,
				cost: meta(z.number(), { description: "In tokens of the rate limits." }),
			}),
		),
		nextCursor,
	}),
	{ id: "UsagePage" },
);

export const listUsedKeysQuery = z.strictObject({
	limit: z.optional(pageSize),
	cursor: z.optional(cursor),
});

export const usedKeyPage = meta(
	z.object({
		keys: z.array(
			z.object({
				id,
				name: z.string(),
				algorithm: z.string(),
				state: z.string(),
				currentVersion: z.int(),
				rotatedAt: meta(timestamp, { description: "When the current version was made." }),
				lastUsedOn: meta(z.nullable(day), {
					description:
						"The day (UTC) of its last signature, or of the last one that did not verify. Verifying one that does leaves no trace. null for none.",
				}),
			}),
		),
		nextCursor,
	}),
	{ id: "UsedKeyPage" },
);

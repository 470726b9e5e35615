import * as z from "zod";
import { cursor, id, nextCursor, pageSize, timestamp } from "./fields.ts";

const day = z.iso.date().meta({ example: "2026-11-21" });
const count = z.int().min(0);

export const listUsageQuery = z.strictObject({
	by: z
		.enum(["day", "target"])
		.optional()
		.meta({ description: "A row a day (the default), or a row for each key or token of a day." }),
	target: id.optional().meta({ description: "Only of the key or token with this id." }),
	from: day.optional().meta({ description: "From this day (UTC) on; 30 days ago if left out." }),
	to: day.optional().meta({ description: "Up to this day (UTC); today if left out." }),
	limit: pageSize.optional(),
	cursor: cursor.optional(),
});

export const usagePage = z
	.object({
		usage: z.array(
			z.object({
				day,
				targetId: id
					.nullable()
					.meta({ description: "null for all together, and for what named none by its id." }),
				signatures: count,
				invalid: count.meta({
					description: "Signatures that did not verify; those that did have no record.",
				}),
				refused: count,
				changes: count,
				cost: z.number().meta({ description: "In tokens of the rate limits." }),
			}),
		),
		nextCursor,
	})
	.meta({ id: "UsagePage" });

export const listUsedKeysQuery = z.strictObject({
	limit: pageSize.optional(),
	cursor: cursor.optional(),
});

export const usedKeyPage = z
	.object({
		keys: z.array(
			z.object({
				id,
				name: z.string(),
				algorithm: z.string(),
				state: z.string(),
				currentVersion: z.int(),
				rotatedAt: timestamp.meta({ description: "When the current version was made." }),
				lastUsedOn: day.nullable().meta({ description: "The day (UTC) of its last record." }),
			}),
		),
		nextCursor,
	})
	.meta({ id: "UsedKeyPage" });

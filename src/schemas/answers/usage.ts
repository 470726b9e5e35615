import * as z from "zod/mini";
import { meta } from "../../lib/zod.ts";
import { id, nextCursor, timestamp } from "../fields.ts";
import { day } from "../usage.ts";

const count = z.int().check(z.minimum(0));

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

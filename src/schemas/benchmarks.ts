import * as z from "zod/mini";
import { meta } from "../lib/zod.ts";
import { cursor, pageSize } from "./fields.ts";

export const listBenchmarksQuery = z.strictObject({
	limit: z.optional(pageSize),
	cursor: z.optional(cursor),
});

export const listAlertsQuery = z.strictObject({
	open: meta(
		z.optional(
			z.pipe(
				z.enum(["true", "false"]),
				z.transform((value) => value === "true"),
			),
		),
		{ description: "`true`: only alerts whose condition lasts." },
	),
	limit: z.optional(pageSize),
	cursor: z.optional(cursor),
});

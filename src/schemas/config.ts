import * as z from "zod";
import { tenantConfig } from "../config/schema.ts";
import { limits } from "../limits.ts";
import { cursor, fence, id, nextCursor, pageSize, text, timestamp } from "./fields.ts";

const version = z.int().min(0).max(limits.configVersionMax).meta({
	description: "A version of the configuration. 0 is the defaults, before anything was set.",
});

/** The same in a query, where everything is text. */
const versionText = z
	.string()
	.regex(/^(0|[1-9][0-9]{0,9})$/, "must be a whole number from 0")
	.transform(Number)
	.refine((value) => value <= limits.configVersionMax, `must be ${limits.configVersionMax} at most`)
	.meta({ description: "A version; the current one when it is left out, 0 for the defaults." });

export const getConfigQuery = z.strictObject({ version: versionText.optional() });

export const changeConfigQuery = z.strictObject({
	fence: fence.optional(),
	note: text(limits.configNoteChars, 1)
		.optional()
		.meta({ description: "About the change, for people. Not a part of the configuration." }),
});

export const putConfigBody = tenantConfig;

export const rollbackBody = z.strictObject({ version });

export const listVersionsQuery = z.strictObject({
	limit: pageSize.optional(),
	cursor: cursor.optional(),
});

const createdBy = id.nullable().meta({ description: "The id of the token that wrote it." });
const note = z.string().nullable();

export const configuration = z
	.object({
		version,
		config: tenantConfig,
		createdAt: timestamp.nullable().meta({ description: "null with version 0." }),
		createdBy,
		note,
	})
	.meta({ id: "Configuration" });

export const versionPage = z
	.object({
		versions: z.array(z.object({ version, createdAt: timestamp, createdBy, note })),
		nextCursor,
	})
	.meta({ id: "ConfigurationVersionPage" });

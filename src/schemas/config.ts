import * as z from "zod/mini";
import { tenantConfig } from "../config/schema.ts";
import { integer, meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";
import { cursor, fence, integerText, pageSize, text } from "./fields.ts";

export const version = meta(integer(0, limits.configVersionMax), {
	description: "A version of the configuration. 0 is the defaults, before anything was set.",
});

/** The same in a query, where everything is text. */
const versionText = meta(integerText(0, limits.configVersionMax), {
	description: "A version; the current one when it is left out, 0 for the defaults.",
});

export const getConfigQuery = z.strictObject({ version: z.optional(versionText) });

export const changeConfigQuery = z.strictObject({
	fence: z.optional(fence),
	note: meta(z.optional(text(limits.configNoteChars, 1)), {
		description: "About the change, for people. Not a part of the configuration.",
	}),
});

export const putConfigBody = tenantConfig;

export const rollbackBody = z.strictObject({ version });

export const listVersionsQuery = z.strictObject({
	limit: z.optional(pageSize),
	cursor: z.optional(cursor),
});

import * as z from "zod/mini";
import { tenantConfig } from "../../config/schema.ts";
import { meta } from "../../lib/zod.ts";
import { version } from "../config.ts";
import { id, nextCursor, timestamp } from "../fields.ts";

const createdBy = meta(z.nullable(id), { description: "The id of the token that wrote it." });
const note = z.nullable(z.string());

export const configuration = meta(
	z.object({
		version,
		config: tenantConfig,
		createdAt: meta(z.nullable(timestamp), { description: "null with version 0." }),
		createdBy,
		note,
	}),
	{ id: "Configuration" },
);

export const versionPage = meta(
	z.object({
		versions: z.array(z.object({ version, createdAt: timestamp, createdBy, note })),
		nextCursor,
	}),
	{ id: "ConfigurationVersionPage" },
);

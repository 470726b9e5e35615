import * as z from "zod/mini";
import { callersActions, ownActions } from "../audit/actions.ts";
import { meta } from "../lib/zod.ts";
import { cursor, id, keyRef, pageSize, spanInOrder } from "./fields.ts";

const firstTime = Date.parse("0001-01-01T00:00:00Z");
const lastTime = Date.parse("9999-12-31T23:59:59.999Z");

/** Records have a time in milliseconds: what is before or from a moment between two is so from the later one. */
const beyondMilliseconds = /\.\d{3}\d*[1-9]/;

const time = z
	.pipe(
		z.iso.datetime({
			offset: true,
			error: "must be a time with seconds and a zone, such as 2026-11-21T10:00:00Z",
		}),
		z.transform((value) => Date.parse(value) + (beyondMilliseconds.test(value) ? 1 : 0)),
	)
	.check(
		z.refine(
			(time) => time >= firstTime && time <= lastTime,
			"must be in the years 1 to 9999 of UTC",
		),
	);

const filter = {
	key: meta(z.optional(keyRef), {
		description: "Only what was done to this key or token: its id, or its name as it was then.",
	}),
	token: meta(z.optional(id), { description: "Only what was done with this token: its id." }),
	action: meta(z.optional(z.enum([...callersActions, ...ownActions])), {
		description:
			"Only this operation, by its operationId; or what the service or its operator did, whose names have a dot.",
		example: "sign",
	}),
	from: meta(z.optional(time), { description: "Not before this time.", type: "string" }),
	to: meta(z.optional(time), { description: "Before this time.", type: "string" }),
};

export const exportAuditQuery = z
	.strictObject({
		...filter,
		format: meta(z.optional(z.enum(["ndjson", "parquet"])), {
			description: "What `Accept` says, else NDJSON, if it is left out.",
		}),
	})
	.check(spanInOrder);

export const listAuditQuery = z
	.strictObject({
		...filter,
		limit: z.optional(pageSize),
		cursor: z.optional(cursor),
	})
	.check(spanInOrder);

export const recordParams = z.strictObject({ record: id });

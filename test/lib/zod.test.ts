import { expect, it } from "vitest";
import * as z from "zod/mini";
import { integer } from "../../src/lib/zod.ts";

it.each<[z.ZodMiniType, unknown, string]>([
	[z.string(), undefined, "is required: a string"],
	[z.object({}), undefined, "is required: an object"],
	[z.string(), null, "must be a string, not null"],
	[z.array(z.string()), {}, "must be an array, not an object"],
	[z.strictObject({}), [], "must be an object, not an array"],
	[z.int(), 1.5, "must be a whole number"],
	[z.enum(["raw", "der"]), "jws", 'must be "raw" or "der"'],
	[z.enum(["raw", "der"]), ["raw", "der"], 'must be "raw" or "der", not an array'],
	[z.literal(true), false, "must be true"],
	[z.enum(["raw", "der"]), undefined, 'is required: "raw" or "der"'],
	[z.string().check(z.maxLength(3)), "abcd", "must have at most 3 characters"],
	[z.string().check(z.minLength(1)), "", "must have at least 1 character"],
	[z.array(z.string()).check(z.maxLength(1)), ["a", "b"], "must have at most 1 item"],
	[integer(5, 9), 10, "must be at most 9"],
	[integer(5, 9), 4, "must be at least 5"],
	[z.uuid(), "x", "must be a UUID"],
	[z.iso.date(), "x", "must be a date"],
	[z.string().check(z.regex(/^a+$/)), "x", "must match /^a+$/"],
	[z.union([z.string(), z.array(z.string())]), 5, "has none of the forms that it may have"],
])("says what a value is held to: %#", (schema, value, rule) => {
	expect(schema.safeParse(value).error?.issues[0]?.message).toBe(rule);
});

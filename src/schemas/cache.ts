import * as z from "zod/mini";
import { meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";
import { fence, keyRef } from "./fields.ts";

export const purgeQuery = z.strictObject({ fence: z.optional(fence) });

export const warmBody = z.strictObject({
	keys: meta(z.optional(z.array(keyRef).check(z.minLength(1), z.maxLength(limits.warmKeys))), {
		description: "Ids or names; left out for the keys that are used most.",
	}),
});

import { en } from "zod/locales";
import * as z from "zod/mini";

// zod/mini has no language of its own: without one, every refusal would be "Invalid input".
z.config(en());

/** A copy of the schema with metadata for the OpenAPI document, beside what it had; an `id` is not inherited. */
export function meta<Schema extends z.ZodMiniType>(
	schema: Schema,
	data: z.core.GlobalMeta,
): Schema {
	const copy = schema.clone();
	z.globalRegistry.add(copy, data);
	return copy;
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number) {
	return z.int().check(z.minimum(min), z.maximum(max));
}

import * as z from "zod";
import { errorTable } from "../errors.ts";

const code = z.enum(Object.keys(errorTable) as [string, ...string[]]);

/** Every refusal of the service (RFC 9457). */
export const problem = z
	.object({
		type: z.string().meta({ description: "Where the code is explained." }),
		title: z.string(),
		status: z.int(),
		detail: z.string().meta({ description: "The rule and the value." }),
		code: code.meta({ description: "Stable; programs decide by it." }),
		requestId: z.string(),
		errors: z
			.array(
				z.object({
					pointer: z.string().meta({ description: "JSON pointer (RFC 6901)." }),
					code,
					detail: z.string(),
				}),
			)
			.optional(),
	})
	.meta({ id: "Problem" });

export const health = z.object({ status: z.literal("ok") }).meta({ id: "Health" });

const dependency = z.object({ ok: z.boolean(), milliseconds: z.number() });

export const readiness = z
	.object({
		ready: z.boolean(),
		postgres: dependency,
		redis: dependency,
	})
	.meta({ id: "Readiness" });

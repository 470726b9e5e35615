import * as z from "zod/mini";
import { errorTable } from "../../errors.ts";
import { meta } from "../../lib/zod.ts";

const code = z.enum(Object.keys(errorTable) as [string, ...string[]]);

/** Every refusal of the service (RFC 9457). Section 3.2: consumers ignore members that they do not know. */
export const problem = meta(
	z.looseObject({
		type: meta(z.string(), { description: "Where the code is explained." }),
		title: z.string(),
		status: z.int(),
		detail: meta(z.string(), { description: "The rule and the value." }),
		code: meta(code, { description: "Stable; programs decide by it." }),
		requestId: z.string(),
		errors: z.optional(
			z.array(
				z.object({
					pointer: meta(z.string(), { description: "JSON pointer (RFC 6901)." }),
					code,
					detail: z.string(),
				}),
			),
		),
		"violated-policies": meta(z.optional(z.array(z.string())), {
			description: "The limits that are used up, by the names of `RateLimit-Policy`.",
		}),
	}),
	{ id: "Problem" },
);

export const health = meta(z.object({ status: z.literal("ok") }), { id: "Health" });

const dependency = z.object({ ok: z.boolean(), milliseconds: z.number() });

export const readiness = meta(
	z.object({
		ready: z.boolean(),
		postgres: dependency,
		redis: dependency,
	}),
	{ id: "Readiness" },
);

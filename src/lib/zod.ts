import * as z from "zod/mini";

// zod/mini has no language of its own: without one, every refusal would be "Invalid input".
z.config({ localeError: ruleOf });

/** What a value is held to, in the words of our own rules: what it was is said behind it (routes/input.ts). */
function ruleOf(issue: z.core.$ZodRawIssue): string {
	switch (issue.code) {
		case "invalid_type":
			if (issue.input === undefined) return `is required: ${withArticle(issue.expected)}`;
			return `must be ${withArticle(issue.expected)}${notThat(issue.input)}`;
		case "invalid_value":
			if (issue.input === undefined) return `is required: ${orOf(issue.values)}`;
			return `must be ${orOf(issue.values)}${notThat(issue.input)}`;
		case "too_big":
			return `must ${sizeOf(issue.origin, "at most", issue.maximum)}`;
		case "too_small":
			return `must ${sizeOf(issue.origin, "at least", issue.minimum)}`;
		case "invalid_format":
			if (issue.format === "regex") return `must match ${issue.pattern}`;
			return `must be a ${issue.format === "uuid" ? "UUID" : issue.format}`;
		default:
			return "has none of the forms that it may have";
	}
}

/** Of what is not shown itself. */
function notThat(input: unknown): string {
	if (typeof input !== "object") return "";
	return `, not ${input === null ? "null" : withArticle(Array.isArray(input) ? "array" : "object")}`;
}

function orOf(values: readonly unknown[]): string {
	return values.map((value) => JSON.stringify(value)).join(" or ");
}

function withArticle(type: string): string {
	if (type === "int") return "a whole number";
	return `${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
}

const units: Readonly<Record<string, string>> = { string: "character", array: "item" };

function sizeOf(origin: string, bound: string, size: number | bigint): string {
	const unit = units[origin];
	return unit ? `have ${bound} ${size} ${unit}${size === 1 ? "" : "s"}` : `be ${bound} ${size}`;
}

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

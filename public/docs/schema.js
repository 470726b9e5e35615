import { h, prose } from "./dom.js";

/** Schemas nest less deep than this; one that refers to itself stops here. */
const depthMax = 8;

/**
 * Renders JSON Schemas of one document.
 * Of requests the required fields are marked, of answers those that may be missing.
 */
export function schemaView(document) {
	const nameOf = (schema) => schema.$ref?.split("/").at(-1);

	function resolve(schema) {
		if (!schema.$ref) return schema;
		const { $ref, ...beside } = schema;
		return { ...document.components.schemas[nameOf(schema)], ...beside };
	}

	/** The forms that a value may have, null apart. */
	function forms(schema) {
		return (resolve(schema).anyOf ?? [schema]).filter(({ type }) => type !== "null");
	}

	function typeText(schema) {
		const plain = resolve(schema);
		if (plain.anyOf) return unique(plain.anyOf.map(typeText)).join(" or ");
		if (Array.isArray(plain.type)) return plain.type.join(" or ");
		if (plain.type === "array") return `array of ${typeText(plain.items)}`;
		if (isMap(plain)) return `map of ${typeText(plain.additionalProperties)}`;
		if (plain.properties && nameOf(schema)) return nameOf(schema);
		return plain.format ? `${plain.type} (${plain.format})` : (plain.type ?? "any");
	}

	/** `mark` is "required" or "optional": which fields carry a mark. */
	function fields(schema, mark, depth = 0) {
		const { properties = {}, required = [] } = resolve(schema);
		const rows = Object.entries(properties).map(([name, value]) =>
			field({ name, schema: value, required: required.includes(name) }, mark, depth),
		);
		return h("dl", { class: "fields" }, ...rows);
	}

	function field({ name, schema, required, description }, mark, depth = 0) {
		const plain = resolve(schema);
		const marked = required === (mark === "required");
		const about = plain.description ?? description;
		const rules = rulesOf(schema, resolve);
		return h(
			"div",
			null,
			h(
				"dt",
				null,
				h("code", null, name),
				h("span", { class: "type" }, typeText(schema)),
				marked && h("span", { class: mark }, mark),
			),
			h(
				"dd",
				null,
				about && h("p", null, ...prose(about)),
				rules.length > 0 && h("p", { class: "rules" }, ...rules),
				depth < depthMax && nested(name, schema, mark, depth + 1),
			),
		);
	}

	/** The fields inside of a field's objects, also of those in its lists. */
	function nested(name, schema, mark, depth) {
		const objects = forms(schema)
			.flatMap((form) => (resolve(form).type === "array" ? forms(resolve(form).items) : [form]))
			.filter((form) => Object.keys(resolve(form).properties ?? {}).length > 0);
		return objects.map((object, index) => {
			const only = objects.length === 1;
			const kind = only ? "Fields" : index === 0 ? "Either: fields" : "Or: fields";
			const open = Object.keys(resolve(object).properties).length <= 4;
			return h(
				"details",
				{ open },
				h("summary", null, `${kind} of `, h("code", null, name)),
				fields(object, mark, depth),
			);
		});
	}

	return { fields, field, resolve, forms, typeText };
}

function isMap({ type, properties, additionalProperties }) {
	return type === "object" && !properties && Boolean(additionalProperties?.type);
}

function unique(values) {
	return [...new Set(values)];
}

/** What a value must keep to, as nodes with full stops. */
function rulesOf(schema, resolve) {
	const plain = resolve(schema);
	const values = valuesOf(plain, resolve);
	const sentences = [
		values.length > 0 && ["One of ", ...listed(values)],
		range(plain.minLength, plain.maxLength, "characters"),
		range(plain.minItems, plain.maxItems, "items"),
		range(plain.minimum, plain.maximum, ""),
		isMap(plain) && range(0, plain.additionalProperties.maxLength, "characters a value"),
		!plain.format && plain.pattern && ["Matches ", h("code", null, plain.pattern)],
		isPlain(plain.default) && ["Default ", h("code", null, inWords(plain.default))],
	];
	return sentences.filter(Boolean).flatMap((sentence) => [...[sentence].flat(), ". "]);
}

/** The default of an object is told by the defaults of its fields, unless it says more than they do. */
function isPlain(value) {
	return value !== undefined && JSON.stringify(value) !== "{}";
}

function inWords(value) {
	return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function valuesOf(plain, resolve) {
	if (plain.const !== undefined) return [plain.const];
	if (plain.items) return valuesOf(resolve(plain.items), resolve);
	return plain.enum ?? [];
}

/** Long lists (the error codes) are said elsewhere. */
const valuesShown = 12;

function listed(values) {
	if (values.length > valuesShown) return [h("a", { href: "#errors" }, "the error codes")];
	return values.flatMap((value, index) => [
		index === 0 ? "" : index === values.length - 1 ? " or " : ", ",
		h("code", null, String(value)),
	]);
}

/** The bounds that are JavaScript's own say nothing. */
function range(low, high, unit) {
	const from = low > Number.MIN_SAFE_INTEGER ? low : undefined;
	const to = high < Number.MAX_SAFE_INTEGER ? high : undefined;
	if (from === undefined && to === undefined) return null;
	const shown = (number) => number.toLocaleString("en");
	const text =
		to === undefined
			? `At least ${shown(from)}`
			: from || (from === 0 && !unit)
				? `${shown(from)} to ${shown(to)}`
				: `At most ${shown(to)}`;
	return unit ? `${text} ${unit}` : text;
}

import { curl, target } from "./curl.js";
import { announce, h } from "./dom.js";
import { showFailure, showResponse } from "./response.js";

const sendTimeoutMs = 30_000;
const copiedShownMs = 1_200;

/** The right side of an operation: the request as a curl line, and a form that sends it. */
export function requestPanel(operation, view, token) {
	const form = requestForm(operation, view);
	const line = h("pre", { class: "code" });
	const redraw = () => {
		const request = form.read();
		line.textContent = curl({ ...request, url: location.origin + request.target });
	};
	form.element.addEventListener("input", redraw);
	redraw();

	const place = h("div", { class: "response" });
	const send = sender(operation, form, place, token);
	form.element.addEventListener("submit", send);
	return h(
		"div",
		{ class: "side" },
		h(
			"div",
			{ class: "snippet" },
			h("div", null, h("span", { class: "quiet" }, "curl"), copyButton(line)),
			line,
		),
		h("details", { class: "try" }, h("summary", null, "Try it"), form.element, place),
	);
}

function copyButton(block) {
	if (!navigator.clipboard) return null; // a plain-HTTP origin has none
	return h(
		"button",
		{
			type: "button",
			class: "copy",
			"aria-label": "Copy the curl line",
			click: async ({ currentTarget }) => {
				await navigator.clipboard.writeText(block.textContent);
				announce("Copied");
				currentTarget.textContent = "Copied";
				setTimeout(() => currentTarget.replaceChildren("Copy"), copiedShownMs);
			},
		},
		"Copy",
	);
}

/** `read` answers { method, target, needsToken, body } as the fields stand. */
function requestForm(operation, view) {
	const inputs = operation.parameters.map((parameter) =>
		parameterInput(operation, parameter, view),
	);
	const editor = operation.bodySchema && bodyEditor(operation);
	const element = h(
		"form",
		null,
		...inputs.map(({ element }) => element),
		editor?.element,
		h(
			"div",
			{ class: "send-row" },
			h("button", { type: "submit", class: "send" }, "Send"),
			h("span", { class: "quiet" }, `This sends a real request to ${location.host}.`),
		),
	);
	const valuesIn = (where) => inputs.filter(({ place }) => place === where).flatMap(pairs);
	const read = () => ({
		method: operation.method,
		target: target(operation.path, valuesIn("path"), valuesIn("query")),
		needsToken: operation.roles !== null,
		headers: valuesIn("header"),
		body: editor?.read(),
	});
	return { element, read };
}

const pairs = ({ name, read }) => read().map((value) => [name, value]);

function parameterInput(operation, { name, in: place, schema, required }, view) {
	const id = `try-${operation.id}-${name}`;
	const { params, query } = operation.example;
	const value = (place === "path" ? params : query)[name] ?? "";
	const plain = view.resolve(schema);
	const many = view.forms(schema).some(({ type }) => type === "array");
	const hint = plain.default === undefined ? null : String(plain.default);
	const attributes = { id, required: Boolean(required), spellcheck: "false" };
	const input = plain.enum
		? choice(attributes, plain.enum, value, required)
		: many
			? h("textarea", { ...attributes, rows: 2 }, value)
			: h("input", { ...attributes, type: "text", autocomplete: "off", placeholder: hint, value });
	const note = many ? `${place}, one a line` : place;
	return {
		name,
		place,
		element: h(
			"p",
			{ class: "input" },
			h("label", { for: id }, h("code", null, name), " ", h("span", { class: "type" }, note)),
			input,
		),
		read: () => (many ? input.value.split("\n") : [input.value]).filter((text) => text !== ""),
	};
}

function choice(attributes, values, chosen, required) {
	const options = required ? values : ["", ...values];
	return h(
		"select",
		attributes,
		...options.map((value) =>
			h("option", { value, selected: value === chosen }, value === "" ? "(not sent)" : value),
		),
	);
}

function bodyEditor({ id, bodies }) {
	const texts = bodies.map((body) => JSON.stringify(body, null, 2));
	const area = h("textarea", { id: `try-${id}-body`, spellcheck: "false" });
	const fill = (text) => {
		area.value = text;
		area.rows = Math.min(Math.max(text.split("\n").length, 3), 16);
	};
	fill(texts[0] ?? "{}");
	area.addEventListener("keydown", (event) => {
		if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) area.form.requestSubmit();
	});
	const examples =
		texts.length > 1 &&
		h(
			"select",
			{ "aria-label": "Example body", change: (event) => fill(texts[event.target.value]) },
			...texts.map((_, index) => h("option", { value: index }, `Example ${index + 1}`)),
		);
	const label = h(
		"label",
		{ for: `try-${id}-body` },
		"Body ",
		h("span", { class: "type" }, "JSON"),
	);
	const element = h(
		"div",
		{ class: "input" },
		h("div", { class: "label-row" }, label, examples),
		area,
	);
	return { element, read: () => area.value };
}

/** Sends one request at a time; the token is read when it is sent, and goes to this origin alone. */
function sender(operation, form, place, token) {
	let busy = false;
	return async (event) => {
		event.preventDefault();
		if (busy) return;
		busy = true;
		place.replaceChildren(h("p", { class: "quiet" }, "Sending …"));
		const { method, target, needsToken, headers, body } = form.read();
		const startedAt = performance.now();
		try {
			const response = await fetch(target, {
				method,
				headers: {
					...Object.fromEntries(headers),
					...(needsToken && token() && { Authorization: `Bearer ${token()}` }),
					...(body !== undefined && { "Content-Type": "application/json" }),
				},
				...(body !== undefined && { body }),
				cache: "no-store",
				credentials: "omit",
				redirect: "error",
				signal: AbortSignal.timeout(sendTimeoutMs),
			});
			await showResponse(place, response, startedAt);
		} catch (error) {
			showFailure(
				place,
				`${operation.method} ${operation.path} was not answered: ${error.message}`,
			);
		} finally {
			busy = false;
		}
	};
}

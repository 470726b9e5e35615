import { announce, colouredJson, h, longCode, prose } from "./dom.js";

/** Longer bodies are shown without colours, and cut at the second bound. */
const colouredChars = 30_000;
const shownChars = 100_000;

/** Shows what came back in `place`. */
export async function showResponse(place, response, startedAt) {
	const bytes = new Uint8Array(await response.arrayBuffer());
	const milliseconds = Math.round(performance.now() - startedAt);
	const type = response.headers.get("Content-Type") ?? "";
	const json = /[/+]json\b/.test(type) ? parsed(bytes) : undefined;
	const problem = type.startsWith("application/problem+json") ? json : undefined;
	place.replaceChildren(
		h(
			"p",
			{ class: "status" },
			h("strong", { class: response.ok ? "good" : "bad" }, response.status),
			` ${milliseconds} ms, ${bytes.length.toLocaleString("en")} bytes`,
		),
		...(problem ? [problemBox(problem)] : []),
		headersBox(response.headers),
		bodyBox(bytes, type, json),
	);
	announce(`Answered with status ${response.status} after ${milliseconds} milliseconds`);
}

export function showFailure(place, text) {
	place.replaceChildren(h("p", { class: "problem", role: "alert" }, text));
}

function parsed(bytes) {
	try {
		return JSON.parse(new TextDecoder().decode(bytes));
	} catch {
		return undefined;
	}
}

function problemBox({ title, detail, code, errors = [] }) {
	return h(
		"div",
		{ class: "problem" },
		h("p", null, h("strong", null, title), " ", h("a", { href: `#${code}` }, code)),
		h("p", null, ...prose(detail)),
		errors.length > 0 &&
			h(
				"ul",
				null,
				...errors.map((error) =>
					h("li", null, h("code", null, error.pointer || "/"), " ", ...prose(error.detail)),
				),
			),
	);
}

function headersBox(headers) {
	const text = [...headers].map(([name, value]) => `${name}: ${value}`).join("\n");
	return h(
		"details",
		null,
		h("summary", null, "Headers"),
		longCode("Headers of the response", text),
	);
}

function bodyBox(bytes, type, json) {
	if (bytes.length === 0) return h("p", { class: "quiet" }, "No body.");
	const text = json === undefined ? textOf(bytes, type) : JSON.stringify(json, null, 2);
	const cut = text.length > shownChars && h("p", { class: "quiet" }, "The rest is not shown.");
	const shown = text.slice(0, shownChars);
	const coloured = json !== undefined && text.length <= colouredChars;
	return h(
		"div",
		null,
		longCode("Body of the response", ...(coloured ? colouredJson(shown) : [shown])),
		cut,
	);
}

/** Bytes that are no text are shown in hexadecimal. */
function textOf(bytes, type) {
	if (/^text\/|json|pem/.test(type)) return new TextDecoder().decode(bytes);
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

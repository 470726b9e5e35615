/**
 * Makes an element. Strings become text nodes, never markup; null, undefined and false are left out.
 * An attribute that is a function is an event listener: `{ click: () => … }`.
 */
export function h(tag, attributes, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (typeof value === "function") element.addEventListener(name, value);
		else if (value === true) element.setAttribute(name, "");
		else if (value !== null && value !== undefined && value !== false) {
			element.setAttribute(name, String(value));
		}
	}
	element.append(...present(children));
	return element;
}

export function present(children) {
	return children
		.flat()
		.filter((child) => child !== null && child !== undefined && child !== false);
}

/** Text whose `words in backticks` become code. */
export function prose(text) {
	return text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? h("code", null, part) : part));
}

/** A block of code that can be long: the keyboard can scroll it. */
export function longCode(label, ...children) {
	return h("pre", { class: "code", tabindex: 0, role: "region", "aria-label": label }, ...children);
}

/** Tells screen readers what has just happened. */
export function announce(text) {
	document.getElementById("announcer").textContent = text;
}

const jsonToken = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

/** JSON text as nodes, coloured. */
export function colouredJson(text) {
	const nodes = [];
	let end = 0;
	for (const match of text.matchAll(jsonToken)) {
		const [whole, string, colon, number] = match;
		const name = colon ? "name" : string ? "string" : number ? "number" : "literal";
		const token = string ?? whole;
		nodes.push(text.slice(end, match.index), h("span", { class: `json-${name}` }, token));
		end = match.index + token.length;
	}
	nodes.push(text.slice(end));
	return nodes;
}

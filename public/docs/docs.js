import { h, prose } from "./dom.js";
import { operationsOf } from "./operations.js";
import { requestPanel } from "./request.js";
import { schemaView } from "./schema.js";

const at = (id) => document.getElementById(id);

/** The token stands in its field and nowhere else. */
const token = () => at("token").value.trim();

async function main() {
	for (const place of document.querySelectorAll("[data-origin]")) {
		place.textContent = location.origin;
	}
	at("first-request").textContent =
		`export TOKEN=es_…\ncurl ${location.origin}/v1/keys \\\n  -H "Authorization: Bearer $TOKEN"`;
	wireMenu();
	await load();
}

async function load() {
	try {
		const response = await fetch("/openapi.json", { credentials: "omit" });
		if (!response.ok) throw new Error(`status ${response.status}`);
		show(await response.json());
		at("notice").remove();
	} catch (error) {
		at("notice").textContent =
			`/openapi.json could not be read: ${error.message}. Load the page again.`;
		return;
	}
	// What the address points to has only come to be now: go there as if the link were followed.
	if (location.hash) location.replace(location.hash);
	followReading();
}

function show(description) {
	const operations = operationsOf(description);
	const view = schemaView(description);
	const tags = description.tags.map(({ name }) => name);
	at("version").textContent = description.info.version;
	for (const tag of tags) {
		const members = operations.filter((operation) => operation.tag === tag);
		at("operation-links").append(...linksOf(tag, members));
		at("operations").append(
			h("h2", { id: `tag-${tag.toLowerCase()}`, class: "tag" }, tag),
			...members.map((operation) => operationSection(operation, view, description["x-errors"])),
		);
	}
	at("codes").append(...codeRows(description["x-errors"], operations));
}

function linksOf(tag, members) {
	const items = members.map(({ id, summary }) =>
		h("li", null, h("a", { href: `#${id}` }, summary)),
	);
	return [h("h2", null, tag), h("ul", null, ...items)];
}

function operationSection(operation, view, errors) {
	const { id, method, path, summary, description, roles } = operation;
	return h(
		"section",
		{ id, "aria-labelledby": `title-${id}` },
		h(
			"div",
			{ class: "prose" },
			h("h3", { id: `title-${id}` }, h("a", { href: `#${id}` }, summary)),
			h(
				"p",
				{ class: "route" },
				h("span", { class: `method ${method.toLowerCase()}` }, method),
				h("code", null, ...breakable(path)),
			),
			description && h("p", null, ...prose(description)),
			h("p", { class: "quiet" }, roles ? `Roles: ${roles.join(", ")}` : "No token is needed."),
			...inputsOf(operation, view),
			...operation.answers.map((answer) => answerBlock(answer, view)),
			problemsBlock(operation.problems, errors),
		),
		requestPanel(operation, view, token),
	);
}

/** A path may break after its slashes. */
function breakable(path) {
	return path.split(/(?<=\/)/).flatMap((part) => [part, h("wbr")]);
}

function inputsOf({ parameters, bodySchema }, view) {
	const blocks = [
		["path", "Path parameters"],
		["query", "Query parameters"],
		["header", "Headers"],
	].map(([place, title]) => {
		const rows = parameters.filter((parameter) => parameter.in === place);
		return (
			rows.length > 0 && [
				h("h4", null, title),
				h(
					"dl",
					{ class: "fields" },
					...rows.map((row) => view.field({ required: false, ...row }, "required")),
				),
			]
		);
	});
	return [...blocks, bodySchema && [h("h4", null, "Body"), view.fields(bodySchema, "required")]];
}

function answerBlock({ status, description, type, schema }, view) {
	const title = h("h4", null, "Answer ", h("span", { class: "good" }, status));
	const kind = type && type !== "application/json" ? ` (${type})` : "";
	const about = h("p", null, ...prose(description), kind, ".");
	const object = schema && view.resolve(schema).properties;
	return h("div", null, title, about, object && view.fields(schema, "optional"));
}

function problemsBlock(problems, errors) {
	const rows = problems.flatMap(({ status, codes }) => [
		h("dt", null, status),
		...codes.map((code) =>
			h("dd", null, h("a", { href: `#${code}` }, code), ` ${errors[code]?.title ?? ""}`),
		),
	]);
	const count = problems.reduce((sum, { codes }) => sum + codes.length, 0);
	return h(
		"details",
		{ class: "problems codes" },
		h("summary", null, `Problems (${count} codes)`),
		h("dl", null, ...rows),
	);
}

/** A code that more operations than these can answer names none of them. */
const operationsNamed = 8;

function codeRows(errors, operations) {
	return Object.entries(errors).map(([code, { status, title }]) => {
		const from = operations.filter(({ problems }) =>
			problems.some(({ codes }) => codes.includes(code)),
		);
		const links = from.flatMap(({ id }, index) => [
			index > 0 && ", ",
			h("a", { href: `#${id}` }, id),
		]);
		const count = from.length > 0 ? `${from.length} operations` : "any path";
		const named = from.length > 0 && from.length <= operationsNamed;
		return h(
			"tr",
			{ id: code },
			h("th", { scope: "row" }, h("a", { href: `#${code}` }, h("code", null, code))),
			h("td", null, status),
			h("td", null, title),
			h("td", null, ...(named ? links : [count])),
		);
	});
}

/** On narrow screens the contents are a menu. */
function wireMenu() {
	const setOpen = (open) => {
		at("menu").setAttribute("aria-expanded", String(open));
		at("contents").classList.toggle("open", open);
	};
	at("menu").addEventListener("click", () =>
		setOpen(at("menu").getAttribute("aria-expanded") !== "true"),
	);
	at("contents").addEventListener("click", (event) => {
		if (event.target.closest("a")) setOpen(false);
	});
	document.addEventListener("keydown", (event) => {
		if (event.key === "Escape") setOpen(false);
	});
}

/** Marks the link of the section that is being read. */
function followReading() {
	const links = new Map(
		[...document.querySelectorAll('#contents a[href^="#"]')].map((link) => [
			link.getAttribute("href").slice(1),
			link,
		]),
	);
	const observer = new IntersectionObserver(
		(entries) => {
			const entry = entries.find(({ isIntersecting }) => isIntersecting);
			if (!entry) return;
			for (const [id, link] of links) {
				if (id === entry.target.id) link.setAttribute("aria-current", "true");
				else link.removeAttribute("aria-current");
			}
			links.get(entry.target.id)?.scrollIntoView({ block: "nearest" });
		},
		{ rootMargin: "-15% 0px -80% 0px" },
	);
	for (const section of document.querySelectorAll("main section[id]")) observer.observe(section);
}

await main();

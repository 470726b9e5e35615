/**
 * The path and query of a request.
 * `params` and `query` are lists of [name, value]; a name may stand in `query` several times.
 */
export function target(path, params, query) {
	const values = new Map(params);
	const filled = path.replace(/\{(\w+)\}/g, (_, name) =>
		encodeURIComponent(values.get(name) ?? ""),
	);
	const search = new URLSearchParams(query).toString();
	return search ? `${filled}?${search}` : filled;
}

/** The request as a line for a POSIX shell, with the token in its variable TOKEN. */
export function curl({ method, url, needsToken, headers = [], body }) {
	const parts = [`curl ${method === "GET" ? "" : `-X ${method} `}${quoted(url)}`];
	if (needsToken) parts.push('-H "Authorization: Bearer $TOKEN"');
	for (const header of headers) parts.push(`-H ${inQuotes(header.join(": "))}`);
	if (body !== undefined) {
		parts.push('-H "Content-Type: application/json"', `-d ${inQuotes(laidOut(body))}`);
	}
	return parts.join(" \\\n  ");
}

function quoted(text) {
	return /^[\w:/.-]+$/.test(text) ? text : inQuotes(text);
}

function inQuotes(text) {
	return `'${text.replaceAll("'", `'\\''`)}'`;
}

const oneLineChars = 60;

/** A short body on one line, a long one set in; what is no JSON stays as it is. */
function laidOut(body) {
	try {
		const value = JSON.parse(body);
		const line = JSON.stringify(value);
		if (line.length <= oneLineChars) return line;
		return JSON.stringify(value, null, 2).replaceAll("\n", "\n  ");
	} catch {
		return body;
	}
}

import { formatValue, threeDigits } from "../thresholds.ts";
import { escapeHtml } from "./escape.ts";
import { style } from "./style.ts";

/** A page that needs nothing beside itself: it can be sent to anyone, and opens without a network. */
export function toPage(title: string, sections: readonly string[]): string {
	return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
${sections.filter((section) => section !== "").join("\n")}
</main>
</body>
</html>
`;
}

/** A cell of a table: HTML, with its class. */
export interface Cell {
	readonly html: string;
	readonly className?: string;
}

export function textCell(text: string, className = ""): Cell {
	return { html: escapeHtml(text), className };
}

/** @param totals how many rows at the end are sums of those before */
export function toTable(
	headings: readonly string[],
	rows: readonly (readonly Cell[])[],
	totals = 0,
): string {
	const head = headings.map((heading) => `<th>${escapeHtml(heading)}</th>`).join("");
	const body = rows.map((row, index) => {
		const cells = row.map(({ html, className }) =>
			className ? `<td class="${className}">${html}</td>` : `<td>${html}</td>`,
		);
		const isTotal = index >= rows.length - totals;
		return `<tr${isTotal ? ' class="total"' : ""}>${cells.join("")}</tr>`;
	});
	return `<div class="box"><table><tr>${head}</tr>${body.join("")}</table></div>`;
}

export function section(title: string, ...parts: readonly string[]): string {
	const content = parts.filter((part) => part !== "");
	return content.length === 0 ? "" : `<h2>${escapeHtml(title)}</h2>\n${content.join("\n")}`;
}

export function tile(name: string, value: string, small = ""): string {
	const below = small === "" ? "" : `<small>${escapeHtml(small)}</small>`;
	return `<div class="tile"><span>${escapeHtml(name)}</span><b>${escapeHtml(value)}</b>${below}</div>`;
}

/** A number with three digits, and an earlier one below it. */
export function withEarlier(now: number | undefined, earlier: number | undefined): Cell {
	const shown = now === undefined ? "–" : threeDigits(now);
	if (earlier === undefined) return { html: shown };
	return { html: `${shown}<small>${threeDigits(earlier)}</small>` };
}

export function share(value: number): string {
	return formatValue("share", value);
}

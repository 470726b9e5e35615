import { err, ok, type Result } from "./result.ts";

/**
 * JSON.parse (RFC 8259) that refuses deep nesting before anything is built: the text is scanned
 * once, and strings are skipped whole, so that a long message costs next to nothing.
 */
export function parseJson(
	text: string,
	maxDepth: number,
): Result<unknown, "invalid_json" | "too_deep"> {
	if (depthExceeds(text, maxDepth)) return err("too_deep");
	try {
		return ok(JSON.parse(text));
	} catch {
		return err("invalid_json");
	}
}

const quote = 0x22;
const backslash = 0x5c;

function depthExceeds(text: string, maxDepth: number): boolean {
	let depth = 0;
	for (let index = 0; index < text.length; index++) {
		const char = text.charCodeAt(index);
		if (char === quote) {
			index = endOfString(text, index);
		} else if (char === 0x7b || char === 0x5b) {
			if (++depth > maxDepth) return true;
		} else if (char === 0x7d || char === 0x5d) {
			depth--;
		}
	}
	return false;
}

/** The index of the quote that ends the string which begins at `start`; the text's length if none does. */
function endOfString(text: string, start: number): number {
	let end = text.indexOf('"', start + 1);
	while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
	return end === -1 ? text.length : end;
}

function isEscaped(text: string, index: number): boolean {
	let slashes = 0;
	while (text.charCodeAt(index - 1 - slashes) === backslash) slashes++;
	return slashes % 2 === 1;
}

import { err, ok, type Result } from "./result.ts";

/**
 * JSON.parse (RFC 8259) that refuses deep nesting before anything is built, a name that stands twice in an object,
 * of which one reader takes the first and another the last (RFC 7493 section 2.3), and a fraction that a double does
 * not hold to its last digit (section 2.2). Strings are skipped whole, so that a long message costs next to nothing.
 */
export function parseJson(
	text: string,
	maxDepth: number,
	maxNames: number,
): Result<unknown, "invalid_json" | "too_deep" | Refused> {
	if (depthExceeds(text, maxDepth)) return err("too_deep");
	try {
		const value: unknown = JSON.parse(text);
		const refused = refuse(text, maxNames);
		return refused ? err(refused) : ok(value);
	} catch {
		return err("invalid_json");
	}
}

type Refused = "repeated_name" | "too_many_names" | "inexact_number";

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

/** Of a text that is JSON. */
function refuse(text: string, mostNames: number): Refused | null {
	/** What is open: an array, an object, or the names of an object that has some. */
	const open: ("array" | "object" | Set<string>)[] = [];
	let count = 0;
	for (let index = 0; index < text.length; index++) {
		const char = text.charCodeAt(index);
		if (char === quote) {
			const end = endOfString(text, index);
			const inner = open.at(-1);
			if (inner !== undefined && inner !== "array" && isBeforeColon(text, end)) {
				if (++count > mostNames) return "too_many_names";
				const raw = text.slice(index, end + 1);
				const name = raw.includes("\\") ? String(JSON.parse(raw)) : raw.slice(1, -1);
				if (inner === "object") open[open.length - 1] = new Set([name]);
				else if (inner.has(name)) return "repeated_name";
				else inner.add(name);
			}
			index = end;
		} else if (char === 0x7b) open.push("object");
		else if (char === 0x5b) open.push("array");
		else if (char === 0x7d || char === 0x5d) open.pop();
		else if (char >= 0x30 && char <= 0x39) {
			const end = endOfNumber(text, index);
			if (end - index > digitsHeld && !isHeld(text.slice(index, end))) return "inexact_number";
			index = end - 1;
		}
	}
	return null;
}

/** Of so many characters a double holds every number but those with a long exponent, which are longer. */
const digitsHeld = 4;
/** The smallest doubles take 751 digits behind 324 zeros. */
const charsMost = 1_100;

function endOfNumber(text: string, start: number): number {
	let end = start + 1;
	while (isOfNumber(text.charCodeAt(end))) end++;
	return end;
}

/** A digit, and what may stand between digits: . + - E e */
function isOfNumber(char: number): boolean {
	return (
		(char >= 0x30 && char <= 0x39) ||
		char === 0x2e ||
		char === 0x2b ||
		char === 0x2d ||
		(char | 0x20) === 0x65
	);
}

/** Whether a double is this very number, to as many digits as it has. Of whole ones the schemas say more. */
function isHeld(text: string): boolean {
	const value = Number(text);
	if (!/[.eE]/.test(text) || value === Number.POSITIVE_INFINITY) return true;
	if (text.length > charsMost) return false;
	const told = decimal(text);
	if (told.digits === "" || isSame(told, decimal(String(value)))) return true;
	// With more digits than it takes to tell it from others: as C writes it.
	return told.digits.length <= 100 && isSame(told, decimal(value.toPrecision(told.digits.length)));
}

function isSame(a: ReturnType<typeof decimal>, b: ReturnType<typeof decimal>): boolean {
	return a.digits === b.digits && a.exponent === b.exponent;
}

/** Digits without zeros at either end, and the power of ten of the last one. */
function decimal(text: string) {
	const [mantissa = "", power = "0"] = text.toLowerCase().split("e");
	const [whole = "", fraction = ""] = mantissa.split(".");
	const all = (whole + fraction).replace(/^0+/, "");
	const digits = all.replace(/0+$/, "");
	return { digits, exponent: Number(power) - fraction.length + all.length - digits.length };
}

function isBeforeColon(text: string, end: number): boolean {
	let index = end + 1;
	while (text.charCodeAt(index) <= 0x20) index++; // white space, and nothing else, in what is JSON
	return text.charCodeAt(index) === 0x3a;
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

import { stripTypeScriptTypes } from "node:module";

/** An import or re-export statement, an `import()` call or an `import()` type. */
export interface Import {
	readonly specifier: string;
	/** Counted from 1. */
	readonly line: number;
}

/** A function with a body in braces. */
export interface FunctionBody {
	/** Where its parameters begin, counted from 1. */
	readonly line: number;
	/** The text of that line, trimmed. */
	readonly head: string;
	/** Lines of the body, less those of the functions nested in it, which are counted on their own. */
	readonly ownLines: number;
}

/** After one of these words a slash opens a regular expression; after any other it divides. */
const wordsBeforeRegex = new Set(
	"return typeof instanceof in of new delete void throw case do else yield await".split(" "),
);

/** Words whose parentheses are followed by a block that is no function body. */
const controlWords = new Set(["if", "for", "while", "switch", "catch", "with", "await"]);

/**
 * The source with the inside of every comment, string, template and regular expression turned to
 * blanks. Length, lines and delimiters stay, so that an offset means the same in both.
 */
export function maskSource(source: string): string {
	const out: string[] = [];
	/** For every template whose `${` is open: how many braces were open around it. */
	const templates: number[] = [];
	let braces = 0;
	let previous = "";
	let at = 0;
	while (at < source.length) {
		const closesHole = source[at] === "}" && templates.at(-1) === braces;
		if (closesHole) templates.pop();
		const token = readToken(source, at, previous, closesHole);
		out.push(token.kind === "code" ? token.text : blank(token.text, token.keep));
		at += token.text.length;
		if (token.kind === "comment" || token.text.trim() === "") continue;
		previous = token.text;
		if (token.kind === "literal") {
			if (token.text.endsWith("${")) templates.push(braces);
			else previous = '"';
		} else if (token.text === "{") braces++;
		else if (token.text === "}") braces--;
	}
	return out.join("");
}

interface Token {
	readonly kind: "code" | "comment" | "literal";
	readonly text: string;
	/** How many characters at either end of a literal are delimiters, and stay. */
	readonly keep: number;
}

function readToken(source: string, at: number, previous: string, closesHole: boolean): Token {
	const match = (pattern: RegExp): string | undefined => {
		pattern.lastIndex = at;
		return pattern.exec(source)?.[0];
	};
	const comment = match(/\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/y);
	if (comment !== undefined) return { kind: "comment", text: comment, keep: 0 };
	const string = match(/"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\[\s\S]|[^'\\\n])*'/y);
	if (string !== undefined) return { kind: "literal", text: string, keep: 1 };
	if (source[at] === "`" || closesHole) {
		const chunk = match(/[`}](?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{|$)/y) ?? "`";
		return { kind: "literal", text: chunk, keep: 1 };
	}
	if (regexMayFollow(previous)) {
		const regex = match(/\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y);
		if (regex !== undefined) return { kind: "literal", text: regex, keep: 1 };
	}
	return { kind: "code", text: match(/[\w$]+|\s+|[\s\S]/y) ?? "", keep: 0 };
}

function regexMayFollow(previous: string): boolean {
	if (/^[\w$]+$/.test(previous)) return wordsBeforeRegex.has(previous);
	return ![")", "]", "}", '"'].includes(previous);
}

function blank(text: string, keep: number): string {
	const end = Math.max(keep, text.length - keep);
	return text.slice(0, keep) + text.slice(keep, end).replace(/[^\n]/g, " ") + text.slice(end);
}

/** The line of an offset, counted from 1. */
export function lineAt(source: string, offset: number): number {
	let line = 1;
	for (let at = source.indexOf("\n"); at !== -1 && at < offset; at = source.indexOf("\n", at + 1)) {
		line++;
	}
	return line;
}

/** Every module that the source names, in order; `masked` is what {@link maskSource} made of it. */
export function findImports(source: string, masked: string): Import[] {
	const statement =
		/(?<![\w$.])(?:(?:import|export)\b[^;'"`()]*?\bfrom|import\s*\(|import(?=\s*["']))\s*(["'`])/g;
	return Array.from(masked.matchAll(statement), (match) => {
		const start = match.index + match[0].length;
		const end = masked.indexOf(match[1] ?? "", start);
		return { specifier: source.slice(start, end), line: lineAt(source, start) };
	});
}

/** Every function, method and arrow function of the source that has a body in braces. */
export function findFunctions(source: string): FunctionBody[] {
	// Without its types, a brace after `)` or `=>` opens a body or a control block, and nothing else does.
	const masked = maskSource(stripTypeScriptTypes(source));
	const found: FunctionBody[] = [];
	const open: { head: number | null; firstLine: number; nestedLines: number }[] = [];
	for (let at = 0; at < masked.length; at++) {
		if (masked[at] === "{") {
			const head = headOfBody(masked.slice(0, at));
			open.push({ head, firstLine: lineAt(masked, at), nestedLines: 0 });
		} else if (masked[at] === "}") {
			const block = open.pop();
			if (!block || block.head === null) continue;
			const lines = lineAt(masked, at) - block.firstLine + 1;
			const outer = open.findLast((candidate) => candidate.head !== null);
			if (outer) outer.nestedLines += lines - 1;
			const line = lineAt(masked, block.head);
			const head = source.split("\n", line).at(-1)?.trim() ?? "";
			found.push({ line, head, ownLines: lines - block.nestedLines });
		}
	}
	return found;
}

/** Where the parameters begin of the function whose body opens after `before`; null when none does. */
function headOfBody(before: string): number | null {
	const code = before.trimEnd();
	if (code.endsWith("=>")) {
		const parameters = code.slice(0, -2).trimEnd();
		return parameters.endsWith(")") ? openingParenthesis(parameters) : parameters.length - 1;
	}
	if (!code.endsWith(")")) return null;
	const start = openingParenthesis(code);
	const word = /([\w$]+)\s*$/.exec(code.slice(0, start))?.[1];
	return word !== undefined && controlWords.has(word) ? null : start;
}

/** The offset of the parenthesis that the last character of `code` closes. */
function openingParenthesis(code: string): number {
	let depth = 0;
	let at = code.length - 1;
	for (; at > 0; at--) {
		if (code[at] === ")") depth++;
		else if (code[at] === "(" && --depth === 0) break;
	}
	return at;
}

import { Problem } from "./problem.ts";

/** A whole number of a flag or variable within bounds. @throws Problem that names the rule */
export function wholeNumber(name: string, text: string, least: number, most: number): number {
	const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
	if (value >= least && value <= most) return value;
	throw new Problem(`${name} must be a whole number from ${least} to ${most}, not "${text}"`);
}

/** PORT, of the first location; 0 stands for any free port. */
export function portFromEnvironment(edges: number): number {
	const text = process.env.PORT || "8787";
	return wholeNumber("PORT", text, 0, 65_536 - edges);
}

/** A word of a command line that a person pastes. */
export function shellQuoted(text: string): string {
	return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

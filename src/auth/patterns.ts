/**
 * Globs over key names: `*` stands for any run of characters, everything else for itself.
 * A token with patterns may use only the keys whose name one of them matches.
 */
export function matchesPattern(pattern: string, name: string): boolean {
	// Two pointers with one point of return: linear in practice, never exponential.
	let at = 0;
	let star = -1;
	let resume = 0;
	let index = 0;
	while (index < name.length) {
		if (at < pattern.length && pattern[at] === "*") {
			star = at++;
			resume = index;
		} else if (at < pattern.length && pattern[at] === name[index]) {
			at++;
			index++;
		} else if (star >= 0) {
			at = star + 1;
			index = ++resume;
		} else {
			return false;
		}
	}
	while (pattern[at] === "*") at++;
	return at === pattern.length;
}

/** null patterns mean every key. */
export function inScope(patterns: readonly string[] | null, name: string): boolean {
	return patterns === null || patterns.some((pattern) => matchesPattern(pattern, name));
}

/** The same glob for SQL's LIKE, whose wildcards may stand in a key's name. */
export function toLike(pattern: string): string {
	return pattern.replace(/[\\%_]/g, "\\$&").replaceAll("*", "%");
}

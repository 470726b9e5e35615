/** A failure that has one clear line for the person at the terminal, and needs no stack trace. */
export class Problem extends Error {
	override readonly name = "Problem";
}

/** The error's own words on one line; for a line that a person reads. */
export function inOneLine(error: unknown): string {
	if (error instanceof AggregateError && error.message === "") {
		return error.errors.map(inOneLine).join("; ");
	}
	const text = error instanceof Error ? error.message : String(error);
	return text.trim().split(/\s*\n\s*/)[0] ?? "";
}

/** The system's error code (ENOENT, EACCES, ...), if the error has one. */
export function codeOf(error: unknown): string | undefined {
	if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
	return typeof error.code === "string" ? error.code : undefined;
}

/** Runs a command with the arguments of this process; a problem is one line and exit code 1. */
export async function runCommand(main: (args: string[]) => Promise<void>): Promise<void> {
	try {
		await main(process.argv.slice(2));
	} catch (error) {
		process.exitCode = 1;
		console.error(describe(error));
	}
}

/** A line for what a person can mend; the whole trace for a defect of ours. */
export function describe(error: unknown): string {
	const isUsage = codeOf(error)?.startsWith("ERR_PARSE_ARGS_") ?? false;
	if (error instanceof Problem) return `edgesign: ${error.message}`;
	if (isUsage) return `edgesign: ${inOneLine(error)}`;
	return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

import { ConfigError } from "../src/lib/keks.ts";

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

/**
 * Runs a command with the arguments of this process; a problem is one line and an exit code.
 * @param usage what `--help` prints, for a command that has no longer help of its own
 * @param exitCodeOf of what it threw
 */
export async function runCommand(
	main: (args: string[]) => Promise<void>,
	usage?: string,
	exitCodeOf: (error: unknown) => number = () => 1,
): Promise<void> {
	const args = process.argv.slice(2);
	process.stdout.on("error", (error) => {
		// Whoever wrote it may know more of what was lost.
		setImmediate(() => {
			if (process.exitCode) return;
			process.exitCode = 1;
			console.error(`edgesign: standard output can not be written: ${inOneLine(error)}`);
		});
	});
	try {
		if (usage !== undefined && (args.includes("--help") || args.includes("-h"))) {
			console.log(usage);
		} else await main(args);
	} catch (error) {
		process.exitCode = exitCodeOf(error);
		console.error(describe(error));
	}
}

/** The disk's, where it has no room or takes nothing; 53100 is PostgreSQL's word for it. */
const roomCodes = ["ENOSPC", "EDQUOT", "EROFS", "53100"];
/** How many files have to be allowed to be open at once: workerd and PostgreSQL have hundreds under load. */
export const openFilesLeast = 1_024;
const filesCodes = ["EMFILE", "ENFILE"];

const processCodes = ["EAGAIN", "ENOMEM"];

function isOfSpawn(error: unknown): boolean {
	return error instanceof Error && "syscall" in error && /^(spawn|fork)/.test(`${error.syscall}`);
}

export const raiseTheLimit = `raise the limit ("ulimit -n") to ${openFilesLeast} or more`;

/** The same as a problem, where it is the machine's and a person can mend it. */
export function problemOf(error: unknown): Problem | undefined {
	if (error instanceof Problem) return error;
	if (error instanceof ConfigError) return new Problem(error.message, { cause: error });
	const code = codeOf(error) ?? "";
	if (roomCodes.includes(code)) return new Problem(inOneLine(error), { cause: error });
	if (processCodes.includes(code) && isOfSpawn(error)) {
		const line = `no more processes can be started: end others, or raise the limit ("ulimit -u") or the memory (${inOneLine(error)})`;
		return new Problem(line, { cause: error });
	}
	if (!filesCodes.includes(code)) return undefined;
	const line = `too few files may be open at once: ${raiseTheLimit} (${inOneLine(error)})`;
	return new Problem(line, { cause: error });
}

/** A line for what a person can mend; the whole trace for a defect of ours. */
export function describe(error: unknown): string {
	const isUsage = codeOf(error)?.startsWith("ERR_PARSE_ARGS_") ?? false;
	const problem = problemOf(error);
	if (problem) return `edgesign: ${problem.message}`;
	// Node's own words go on with advice that does not fit behind npm.
	if (isUsage)
		return `edgesign: ${inOneLine(error).split(/\. /)[0]} (behind npm, flags come after --)`;
	return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { adviseOnTables, type Finding, type NamedStatement, readStatements } from "./advice.ts";
import { LogAdvice } from "./advice-log.ts";
import { databaseOrRunningStack } from "./connect.ts";
import { withDatabase } from "./database.ts";
import { linesOf } from "./lines.ts";
import { inOneLine, Problem, runCommand } from "./problem.ts";

const lineBytesMax = 256 * 1024;
const statementsShown = 15;
const cellMax = 100;

const usage = `npm run db:advise -- [--data DIR] [--log FILE] [--json]

Says what the database's statistics and the service's log have against its indexes, tables and queries, and the
statement for each. Changes nothing. DATABASE_URL (the owner's) or the local stack that runs.
  --log FILE   lines that the service has logged (npm start writes them to its output); - for standard input
  --json       for a program: {findings, statements}`;

async function main(args: string[]): Promise<void> {
	const { values } = parseArgs({
		args,
		options: { data: { type: "string" }, log: { type: "string" }, json: { type: "boolean" } },
	});
	const { databaseUrl } = await databaseOrRunningStack(values.data);
	const logged = values.log === undefined ? [] : await adviseOnLog(values.log);
	const report = await withDatabase(databaseUrl, async (client) => {
		const statements = await readStatements(client);
		const findings = [...(await adviseOnTables(client, statements)), ...logged];
		return { findings, statements: statements ?? [] };
	});
	console.log(values.json ? JSON.stringify(report, null, "\t") : describe(report));
}

async function adviseOnLog(file: string): Promise<Finding[]> {
	const path = resolve(process.env.INIT_CWD ?? process.cwd(), file);
	const stream = file === "-" ? process.stdin : createReadStream(path);
	const advice = new LogAdvice();
	try {
		for await (const line of linesOf(stream, lineBytesMax)) if (line !== null) advice.line(line);
	} catch (error) {
		throw new Problem(`the log can not be read: ${inOneLine(error)}`, { cause: error });
	}
	return advice.findings();
}

interface Report {
	readonly findings: readonly Finding[];
	readonly statements: readonly NamedStatement[];
}

function describe({ findings, statements }: Report): string {
	const rows = statements
		.slice(0, statementsShown)
		.map(({ name, calls, rows, totalMs, meanMs, slowestMs, pages }) => [
			name,
			...[calls, rows, totalMs, meanMs, slowestMs, pages].map((value) => number(value)),
		]);
	const found = findings.map(({ kind, subject, why }) => [kind, subject, why]);
	return [
		...(statements.length > 0
			? columns([
					["statement", "calls", "rows", "total ms", "mean ms", "slowest ms", "pages"],
					...rows,
				])
			: []),
		"",
		...(findings.length > 0
			? columns([["finding", "of", "why"], ...found])
			: ["Nothing to mend was found."]),
		...(findings.length > 0 ? ["", ...findings.map(({ run }) => run)] : []),
	].join("\n");
}

function number(value: number): string {
	return value.toLocaleString("en-US", { maximumFractionDigits: value < 100 ? 2 : 0 });
}

function columns(rows: readonly (readonly string[])[]): string[] {
	const widths = (rows[0] ?? []).map((_, at) =>
		Math.min(cellMax, Math.max(...rows.map((row) => row[at]?.length ?? 0))),
	);
	return rows.map((row) =>
		row
			.map((cell, at) => cell.padEnd(widths[at] ?? 0))
			.join("  ")
			.trimEnd(),
	);
}

if (import.meta.main) await runCommand(main, usage);

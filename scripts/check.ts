/**
 * Every static check of the repository: `npm run check`, or `npm run check -- --fix` to format first.
 * All of them run even when one fails. One line per check, then the output of those that failed.
 */
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { runCommand } from "../local/problem.ts";

const root = join(import.meta.dirname, "..");
/** The checks are parallel themselves; more than two at once gains nothing on a small machine. */
const checksAtOnce = 2;
const checkTimeoutMs = 300_000;

interface Outcome {
	readonly passed: boolean;
	readonly output: string;
}

interface Check {
	readonly name: string;
	run(): Promise<Outcome>;
}

/** Process groups that still run, by the id of their leader. */
const running = new Set<number>();

function stopAll(): void {
	for (const group of running) process.kill(-group, "SIGKILL");
}

/** Runs a command to its end. */
function run(command: string, args: readonly string[]): Promise<Outcome> {
	return new Promise((resolve) => {
		// A group of its own, because the tools are launchers that leave their child behind when killed.
		const child = spawn(command, args, {
			cwd: root,
			detached: true,
			stdio: ["ignore", "pipe", "pipe"],
		});
		const chunks: Buffer[] = [];
		child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
		child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
		const { pid } = child;
		if (pid !== undefined) running.add(pid);
		const timer = setTimeout(() => {
			chunks.push(Buffer.from(`\nstopped after ${checkTimeoutMs / 1000} s\n`));
			if (pid !== undefined) process.kill(-pid, "SIGKILL");
		}, checkTimeoutMs);
		const finish = (passed: boolean) => {
			clearTimeout(timer);
			if (pid !== undefined) running.delete(pid);
			resolve({ passed, output: Buffer.concat(chunks).toString() });
		};
		child.on("error", (error) => {
			chunks.push(Buffer.from(`${error.message}\n`));
			finish(false);
		});
		child.on("close", (code) => finish(code === 0));
	});
}

/** Runs a tool of node_modules/.bin. */
function tool(name: string, ...args: string[]): Promise<Outcome> {
	return run(join(root, "node_modules", ".bin", name), args);
}

/** Runs a script of this repository. */
function runScript(path: string, ...args: string[]): Promise<Outcome> {
	return run(process.execPath, [
		"--disable-warning=ExperimentalWarning",
		join(root, path),
		...args,
	]);
}

/** Files of the repository that match, relative to its root; what is built or installed left out. */
function find(pattern: string): string[] {
	const skipped = new Set(["node_modules", "dist", ".data", ".wrangler", ".git"]);
	return globSync(pattern, { cwd: root, exclude: (path) => skipped.has(basename(path)) }).sort();
}

/** The TypeScript files that some tsconfig has taken in, filled by {@link checkTypes}. */
const typed = new Set<string>();

async function checkTypes(project: string): Promise<Outcome> {
	const { passed, output } = await tool("tsc", "--project", project, "--listFiles");
	const diagnostics: string[] = [];
	for (const line of output.split("\n")) {
		if (line.startsWith("/")) typed.add(relative(root, line));
		else diagnostics.push(line);
	}
	return { passed, output: diagnostics.join("\n") };
}

/** A file that no tsconfig includes would never be checked, and nobody would notice. */
function checkAllTyped(): Outcome {
	const missing = find("**/*.ts").filter((file) => !typed.has(file));
	const lines = missing.map(
		(file) => `${file} is in no tsconfig.json: include it in the nearest one`,
	);
	return { passed: missing.length === 0, output: lines.join("\n") };
}

function listChecks(fix: boolean): Check[] {
	const biome = fix ? ["check", "--write"] : ["ci"];
	const projects = find("**/tsconfig*.json");
	return [
		{
			name: "format and lint",
			run: () => tool("biome", ...biome, "--error-on-warnings", "--colors=off", "."),
		},
		...projects.map((project) => ({
			name: `types ${project}`,
			run: () => checkTypes(project),
		})),
		{
			name: "unused code",
			run: () => tool("knip", "--no-progress", "--treat-config-hints-as-errors"),
		},
		{
			name: "OpenAPI document",
			run: () => runScript("openapi/write.ts", ...(fix ? [] : ["--check"])),
		},
		{
			name: "OpenAPI rules",
			run: () => runScript("scripts/lint-openapi.ts"),
		},
		{
			name: "architecture",
			run: () => runScript("scripts/check-architecture.ts"),
		},
	];
}

async function report(check: Check): Promise<boolean> {
	const start = performance.now();
	const { passed, output } = await check.run();
	const seconds = ((performance.now() - start) / 1000).toFixed(1);
	console.log(`${passed ? "ok  " : "FAIL"}  ${check.name}  ${seconds} s`);
	if (!passed) console.log(`${output.trim()}\n`.replace(/^/gm, "      "));
	return passed;
}

/** Runs the checks, some at once; answers how many failed. */
async function runChecks(checks: readonly Check[]): Promise<number> {
	let failed = 0;
	const waiting = [...checks];
	const worker = async () => {
		for (let check = waiting.shift(); check; check = waiting.shift()) {
			if (!(await report(check))) failed++;
		}
	};
	await Promise.all(Array.from({ length: checksAtOnce }, worker));
	return failed;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
	process.on(signal, () => {
		stopAll();
		process.exit(signal === "SIGINT" ? 130 : 143);
	});
}

async function main(args: string[]): Promise<void> {
	const { fix } = parseArgs({ args, options: { fix: { type: "boolean", default: false } } }).values;
	const [format, ...others] = listChecks(fix);
	// What is formatted must have its last form before the other checks read it.
	let failed = fix && format ? await runChecks([format]) : 0;
	failed += await runChecks(fix || !format ? others : [format, ...others]);
	failed += await runChecks([
		{ name: "every file typed", run: () => Promise.resolve(checkAllTyped()) },
	]);
	if (failed > 0) console.log(`${failed} of the checks failed`);
	process.exitCode = failed === 0 ? 0 : 1;
}

const usage =
	"npm run check -- [--fix]\n\nEvery static check; with --fix what can be formatted is, first.";

await runCommand(main, usage);

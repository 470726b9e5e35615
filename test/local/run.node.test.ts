import {
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	utimesSync,
} from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isAlive } from "../../local/processes.ts";
import { type Command, project, runCommand } from "../support/node/processes.ts";

/** Stands in for npm: notes the call, takes its time, and lays down what the lock file asks for. */
const npm = `
	import { appendFileSync, copyFileSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
	appendFileSync("calls", process.argv.slice(2).join(" ") + "\\n");
	rmSync("node_modules", { recursive: true, force: true });
	await new Promise((resolve) => setTimeout(resolve, Number(process.env.NPM_TAKES ?? 500)));
	if (process.env.NPM_FAILS) process.exit(1);
	mkdirSync("node_modules/.bin", { recursive: true });
	symlinkSync(process.execPath, "node_modules/.bin/node");
	copyFileSync(process.env.NPM_LEAVES ?? "package-lock.json", "node_modules/.package-lock.json");
`;

/** Stands in for the service: says its arguments, and ends as it was told to. */
const start = `
	process.on("SIGTERM", () => process.exit(7));
	process.on("SIGINT", () => process.exit(8));
	console.log("started", process.pid, JSON.stringify(process.argv.slice(2)));
	if (process.argv[2] === "exit") process.exit(Number(process.argv[3]));
	setTimeout(() => process.exit(9), 30_000);
`;

const platformOnly = { version: "1.0.0", optional: true };
const packages = {
	"": { name: "copy" },
	"node_modules/a": { version: "1.2.3", integrity: "sha512-a" },
	"node_modules/other-platform": platformOnly,
};

let root: string;

beforeEach(async () => {
	root = mkdtempSync(join(tmpdir(), "edgesign-run-"));
	mkdirSync(join(root, "local"));
	copyFileSync(join(project, "local", "run.mjs"), join(root, "local", "run.mjs"));
	await writeFile(join(root, "npm.mjs"), npm);
	await writeFile(join(root, "local", "start.ts"), start);
	await writeFile(join(root, "package-lock.json"), JSON.stringify({ packages }));
});

afterEach(() => {
	rmSync(root, { recursive: true, force: true });
});

function run(args: string[], env: Record<string, string> = {}): Command {
	return runCommand(process.execPath, [join(root, "local", "run.mjs"), ...args], {
		npm_execpath: join(root, "npm.mjs"),
		npm_lifecycle_event: "",
		...env,
	});
}

function calls(): string[] {
	const file = join(root, "calls");
	return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
}

test("what is missing is installed once, and told of; the command gets its arguments", async () => {
	const first = run(["start", "exit", "0", "--data", "a b"]);
	expect(await first.ended).toBe(0);
	expect(first.stdout()).toContain(JSON.stringify(["exit", "0", "--data", "a b"]));
	expect(first.stderr()).toMatch(
		/^Installing what is missing \(npm ci\) \.\.\.\nInstalled in \d+ s\.\n$/,
	);
	const second = run(["start", "exit", "0"]);
	expect(await second.ended).toBe(0);
	expect(second.stderr()).toBe("");
	expect(calls()).toEqual([expect.stringMatching(/^ci /)]);
});

test("a lock file that asks for another version is installed again", async () => {
	await run(["start", "exit", "0"]).ended;
	const file = join(root, "package-lock.json");
	const text = await readFile(file, "utf8");
	await writeFile(file, text.replace("1.2.3", "1.2.4"));
	expect(await run(["start", "exit", "0"]).ended).toBe(0);
	expect(calls()).toHaveLength(2);
});

test("two at once install once, one after the other", async () => {
	const both = [run(["start", "exit", "0"]), run(["start", "exit", "0"])];
	expect(await Promise.all(both.map(({ ended }) => ended))).toEqual([0, 0]);
	expect(calls()).toHaveLength(1);
});

test("an install that was killed leaves no lock that the next one waits for", async () => {
	const killed = run(["start", "exit", "0"], { NPM_TAKES: "30000" });
	await expect.poll(calls).toHaveLength(1);
	process.kill(-killed.pid, "SIGKILL");
	await killed.ended;
	// As if it were long ago, where a waiter would stay for as long as the other may be at work.
	const lock = join(root, ".install-lock");
	utimesSync(lock, 0, 0);
	const waiting = [run(["start", "exit", "0"]), run(["start", "exit", "0"])];
	expect(await Promise.all(waiting.map(({ ended }) => ended))).toEqual([0, 0]);
	expect(calls()).toHaveLength(2);
	expect(readdirSync(root).filter((name) => name.includes("lock"))).toEqual(["package-lock.json"]);
});

test("an install that is under way is waited for, which is told", async () => {
	const first = run(["start", "exit", "0"], { NPM_TAKES: "1500" });
	await expect.poll(calls).toHaveLength(1);
	const second = run(["start", "exit", "0"]);
	expect(await second.ended).toBe(0);
	expect(second.stderr()).toBe("Waiting for another install in this folder ...\n");
	expect(await first.ended).toBe(0);
	expect(calls()).toHaveLength(1);
});

test("an install that fails is one line and exit code 1", async () => {
	const failed = run(["start"], { NPM_FAILS: "1" });
	expect(await failed.ended).toBe(1);
	expect(failed.stderr()).toMatch(/\nedgesign: npm ci failed: see the lines above\n$/);
	const other = join(root, "other-lock.json");
	await writeFile(other, JSON.stringify({ packages: { "": {} } }));
	const partial = run(["start"], { NPM_LEAVES: other });
	expect(await partial.ended).toBe(1);
	expect(partial.stderr()).toMatch(/\nedgesign: npm ci left something out: .*\n$/);
});

test("an unknown command is one line and exit code 1, and installs nothing", async () => {
	const unknown = run(["constructor"]);
	expect(await unknown.ended).toBe(1);
	expect(unknown.stderr()).toMatch(/^edgesign: the commands are start, .*\n$/);
	expect(calls()).toEqual([]);
});

test("pg is not told to ask for a package that is not here", async () => {
	await run(["start", "exit", "0"]).ended;
	await writeFile(join(root, "local", "start.ts"), "console.log(process.env.NODE_PG_FORCE_NATIVE)");
	const told = run(["start"], { NODE_PG_FORCE_NATIVE: "1" });
	expect(await told.ended).toBe(0);
	expect(told.stdout()).toBe("undefined\n");
});

test("signals and the exit code are passed on", async () => {
	expect(await run(["start", "exit", "3"]).ended).toBe(3);
	for (const [signal, code] of [
		["SIGTERM", 7],
		["SIGINT", 8],
	] as const) {
		const command = run(["start", "wait"]);
		await command.says(/started \d+/);
		command.child.kill(signal);
		expect(await command.ended).toBe(code);
	}
});

test("when npm is gone without a word, the command is ended", async () => {
	await run(["start", "exit", "0"]).ended;
	// Like npm, it has a shell run the script, and some shells stay between the two.
	const shell = `"${process.execPath}" "${join(root, "local", "run.mjs")}" start wait; true`;
	const script = `require("child_process").spawn("/bin/sh", ["-c", ${JSON.stringify(shell)}], { stdio: "inherit" })`;
	const standIn = runCommand(process.execPath, ["-e", script], { npm_lifecycle_event: "start" });
	const [, pid] = await standIn.says(/started (\d+)/);
	standIn.child.kill("SIGKILL");
	await expect.poll(() => isAlive(Number(pid))).toBe(false);
});

test("npm that was gone before we could look has nothing started", async () => {
	await run(["start", "exit", "0"]).ended;
	// The shell has the command wait until who started it has ended.
	const node = `"${process.execPath}" "${join(root, "local", "run.mjs")}" start wait`;
	const shell = `while kill -0 "$0" 2>/dev/null; do sleep 0.05; done; exec ${node}`;
	const script = `require("child_process").spawn("/bin/sh", ["-c", ${JSON.stringify(shell)}, process.pid], { stdio: "inherit" }); setTimeout(process.exit, 100)`;
	const standIn = runCommand(process.execPath, ["-e", script], { npm_lifecycle_event: "start" });
	await standIn.ended;
	expect(standIn.stdout()).toBe("");
	expect(standIn.stderr()).toMatch(/^edgesign: npm has ended, .*\n$/);
});

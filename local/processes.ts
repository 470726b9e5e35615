import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, inOneLine, openFilesLeast, Problem, raiseTheLimit } from "./problem.ts";

const pollMs = 20;

/** A child with a standard input; what else it has is as `spawn` was told. */
type Started = ChildProcess & { readonly stdin: NonNullable<ChildProcess["stdin"]> };

/**
 * Starts a program as the leader of a group of its own, and not before `onSpawn` has its process id: if this
 * process is killed in between, while the system makes the new one, a shell is waiting there, whose
 * standard input ends. The program has what is written to `stdin` from then on.
 */
export function spawnTold(
	program: string,
	args: readonly string[],
	options: Pick<SpawnOptions, "cwd" | "env" | "uid" | "gid"> & {
		readonly output: readonly ("ignore" | "pipe" | number)[];
	},
	onSpawn: ((pid: number) => void) | undefined,
): Started {
	const { output, ...rest } = options;
	const child = spawn("/bin/sh", ["-c", 'read -r _ && exec "$@"', "sh", program, ...args], {
		...rest,
		detached: true, // Ctrl-C in the terminal must reach us only
		stdio: ["pipe", ...output],
	}) as Started;
	child.stdin.on("error", () => {}); // it has ended: told by the exit
	if (child.pid) onSpawn?.(child.pid);
	child.stdin.write("\n");
	return child;
}

/**
 * To be asked before anything is started: with fewer it works for a while, and then fails at any place.
 * @throws Problem where what is started here may not have enough files open
 */
export function requireOpenFiles(): void {
	const text = execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }).trim();
	if (!(Number(text) < openFilesLeast)) return; // it may be "unlimited"
	throw new Problem(`no more than ${text} files may be open at once: ${raiseTheLimit}`);
}

/**
 * Who makes a folder of its own there may say nothing of it, or try for ever.
 * @throws Problem where the folder for temporary files takes none
 */
export function requireTemporaryFolder(): void {
	const folder = tmpdir();
	try {
		rmdirSync(mkdtempSync(join(folder, "edgesign-")));
	} catch (error) {
		const line = `the folder for temporary files, ${folder}, can not be written: set TMPDIR to one that can (${inOneLine(error)})`;
		throw new Problem(line, { cause: error });
	}
}

/** Whether a process with this id is there, ours or not. A zombie counts as gone. */
export function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
	} catch (error) {
		return codeOf(error) === "EPERM";
	}
	try {
		return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
	} catch {
		return process.platform !== "linux";
	}
}

/** The command line of a process, arguments joined by spaces; empty when it can not be read. */
export function commandLine(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
	} catch {
		// No /proc: not Linux.
	}
	try {
		return execFileSync("ps", ["-p", String(pid), "-o", "args="], { encoding: "utf8" }).trim();
	} catch {
		return "";
	}
}

/** When the process began: with its id, it tells it from a later one that got the same id. */
export function startOf(pid: number): string {
	try {
		// Field 22 of proc_pid_stat(5), counted after the name, which may hold spaces.
		const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
			.replace(/^.*\) /s, "")
			.split(" ");
		return fields[19] ?? "";
	} catch {
		// No /proc: not Linux.
	}
	try {
		return execFileSync("ps", ["-p", String(pid), "-o", "lstart="], { encoding: "utf8" }).trim();
	} catch {
		return "";
	}
}

/** Sends a signal to a process that may be gone by now. */
export function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch {
		// It ended by itself.
	}
}

/** Waits until the process is gone; false when it is still there after `timeoutMs`. */
export async function waitUntilGone(pid: number, timeoutMs: number): Promise<boolean> {
	const end = performance.now() + timeoutMs;
	while (isAlive(pid)) {
		if (performance.now() > end) return false;
		await sleep(pollMs);
	}
	return true;
}

/** Signals in turn, each with its time in milliseconds to take effect, and SIGKILL in the end. */
export async function endProcess(
	pid: number,
	steps: readonly (readonly [NodeJS.Signals, number])[],
): Promise<void> {
	for (const [signal, timeoutMs] of [...steps, ["SIGKILL", 5_000] as const]) {
		signalIfAlive(pid, signal);
		if (await waitUntilGone(pid, timeoutMs)) return;
	}
}

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const project = join(import.meta.dirname, "..", "..", "..");

/** A command under test: what it wrote so far, and how it ended. */
export interface Command {
	readonly child: ChildProcess;
	readonly pid: number;
	/** In the environment of the command and of what it starts: for leftoversOf. */
	readonly tag: string;
	stdout(): string;
	stderr(): string;
	/** The exit code, or the signal's name. */
	readonly ended: Promise<number | string>;
	/** Resolves once standard output matches; rejects when the command ends before that. */
	says(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Runs a program as the leader of a process group of its own, as a terminal does. */
export function runCommand(
	program: string,
	args: readonly string[],
	env: Readonly<Record<string, string>> = {},
): Command {
	const tag = randomUUID();
	const child = spawn(program, args, {
		cwd: project,
		detached: true,
		env: { ...process.env, NODE_OPTIONS: "", EDGESIGN_TEST_TAG: tag, ...env },
		stdio: ["ignore", "pipe", "pipe"],
	});
	let stdout = "";
	let stderr = "";
	child.stdout.on("data", (chunk) => {
		stdout += chunk;
	});
	child.stderr.on("data", (chunk) => {
		stderr += chunk;
	});
	const ended = new Promise<number | string>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
	});
	return {
		child,
		pid: child.pid ?? 0,
		tag,
		stdout: () => stdout,
		stderr: () => stderr,
		ended,
		async says(pattern) {
			let over = false;
			const noteEnd = () => {
				over = true;
			};
			ended.then(noteEnd, noteEnd);
			for (;;) {
				const match = pattern.exec(stdout);
				if (match) return match;
				if (over) throw new Error(`it ended and said: ${stdout}\n${stderr}`);
				await sleep(20);
			}
		},
	};
}

function tryRead(read: () => string): string {
	try {
		return read();
	} catch {
		return ""; // it has ended, or belongs to another user
	}
}

/** Command lines of the processes that have the text in their command line, environment or folder. */
export function processesWith(text: string): { pid: number; command: string }[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
		.flatMap((pid) => {
			const command = tryRead(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
			if (command === "") return []; // the kernel's own, or over
			const found =
				command.includes(text) ||
				tryRead(() => readFileSync(`/proc/${pid}/environ`, "utf8")).includes(text) ||
				tryRead(() => readlinkSync(`/proc/${pid}/cwd`)).includes(text);
			return found ? [{ pid: Number(pid), command: command.replaceAll("\0", " ").trim() }] : [];
		});
}

/** The one process of those whose command line has the word too. */
export function processWith(text: string, word: string): number {
	const found = processesWith(text).filter(({ command }) => command.includes(word));
	const [first] = found;
	if (!first || found.length > 1) throw new Error(`${found.length} processes with ${word}`);
	return first.pid;
}

/** SIGKILL for those whose command line is such, all at once: none of them can see to the others. */
export function killAtOnce(text: string, isOne: (command: string) => boolean): void {
	const found = processesWith(text).filter(({ command }) => isOne(command));
	for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
		for (const { pid } of found) process.kill(pid, signal);
	}
}

export const isNode = (command: string): boolean => /^(\S*\/node|node|npm) /.test(command);

/** What is still there of them after the time they may take to end. */
export async function leftoversOf(text: string, patienceMs = 15_000): Promise<string[]> {
	const end = performance.now() + patienceMs;
	for (;;) {
		const left = processesWith(text).map(({ command }) => command);
		if (left.length === 0 || performance.now() > end) return left;
		await sleep(50);
	}
}

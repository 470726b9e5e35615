import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endProcess } from "./processes.ts";

const restartPauseMs = 200;

/** Sees to it that what a stack started does not outlive the stack. */
export interface Guard {
	/** Ends that process, the leader of its group, when this process is gone. */
	watch(pid: number, firstSignal: NodeJS.Signals): void;
	/** For when all that was watched has ended. */
	stop(): Promise<void>;
}

/**
 * Starts the reaper (reaper.ts), and starts it again should it be killed alone.
 * @param patienceMs how long a process may take to end after its first signal
 */
export function startGuard(patienceMs = 10_000): Guard {
	const lines: string[] = [];
	let stopped = false;
	let reaper = launch();

	function launch(): ChildProcess {
		const program = join(import.meta.dirname, "reaper.ts");
		const child = spawn(process.execPath, [program, String(patienceMs)], {
			detached: true,
			stdio: ["pipe", "ignore", "ignore"],
			cwd: "/",
		});
		child.unref();
		child.stdin?.on("error", () => {}); // it ended: told by the exit
		for (const line of lines) child.stdin?.write(line);
		child.once("exit", () => {
			if (!stopped) void sleep(restartPauseMs, undefined, { ref: false }).then(relaunch);
		});
		child.once("error", () => {});
		return child;
	}

	function relaunch(): void {
		if (!stopped) reaper = launch();
	}

	return {
		watch(pid, firstSignal) {
			const line = `${pid} ${firstSignal}\n`;
			lines.push(line);
			reaper.stdin?.write(line);
		},
		async stop() {
			stopped = true;
			reaper.stdin?.end();
			if (reaper.pid) await endProcess(reaper.pid, []);
		},
	};
}

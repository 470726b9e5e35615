import { expect, test } from "vitest";
import { isAlive } from "../../local/processes.ts";
import { type Command, leftoversOf, processesWith, runCommand } from "../support/node/processes.ts";

/** Starts a guard and a process that it watches, says the latter's id, and waits. */
const script = `
	import { spawn } from "node:child_process";
	const { startGuard } = await import("./local/guard.ts");
	const guard = startGuard(500);
	const stubborn = "process.on('SIGTERM', () => {}); console.log('ready'); setInterval(() => {}, 1000)";
	const child = spawn(process.execPath, ["-e", stubborn], { detached: true });
	guard.watch(child.pid, process.argv[1]);
	child.stdout.once("data", () => console.log("watched", child.pid));
`;

function startGuarded(signal: string): Command {
	const args = ["--input-type=module", "-e", script, signal];
	return runCommand(process.execPath, args);
}

test("what is watched ends when its starter is killed, and so does the reaper", async () => {
	const starter = startGuarded("SIGKILL");
	const [, watched] = await starter.says(/watched (\d+)/);
	expect(isAlive(Number(watched))).toBe(true);
	starter.child.kill("SIGKILL");
	expect(await leftoversOf(starter.tag)).toEqual([]);
});

test("a reaper that is killed alone is replaced, and the next one knows all", async () => {
	const starter = startGuarded("SIGKILL");
	await starter.says(/watched/);
	const reapers = () =>
		processesWith(starter.tag).filter(({ command }) => command.includes("reaper.ts"));
	const first = reapers().map(({ pid }) => pid);
	expect(first).toHaveLength(1);
	for (const pid of first) process.kill(pid, "SIGKILL");
	await expect.poll(reapers).toEqual([expect.not.objectContaining({ pid: first[0] })]);
	// The new one has to have read its lines: it is asked for by ending the starter a moment later.
	await new Promise((resolve) => setTimeout(resolve, 500));
	starter.child.kill("SIGKILL");
	expect(await leftoversOf(starter.tag)).toEqual([]);
});

test("a process that ignores the first signal is killed in the end", async () => {
	const starter = startGuarded("SIGTERM");
	await starter.says(/watched/);
	starter.child.kill("SIGKILL");
	expect(await leftoversOf(starter.tag)).toEqual([]);
});

/**
 * Ends the processes of a stack whose own process is gone, however it went: its standard input is
 * a pipe that only the stack holds. Each line says what to end: a process id and a first signal.
 * Every process leads a group of its own, which gets SIGKILL when the signal was not enough.
 * Argument: how many milliseconds the first signal has to take effect.
 */
import { createInterface } from "node:readline";
import { isAlive, signalIfAlive, startOf, waitUntilGone } from "./processes.ts";

const patienceMs = Number(process.argv[2]);

interface Watched {
	readonly signal: NodeJS.Signals;
	readonly started: string;
}

const watched = new Map<number, Watched>();

async function end(pid: number, { signal, started }: Watched): Promise<void> {
	if (!isAlive(pid) || startOf(pid) !== started) return;
	if (signal !== "SIGKILL") {
		signalIfAlive(pid, signal);
		if (await waitUntilGone(pid, patienceMs)) return;
	}
	signalIfAlive(-pid, "SIGKILL");
}

for await (const line of createInterface({ input: process.stdin })) {
	const [pid, signal] = line.split(" ");
	watched.set(Number(pid), { signal: signal as NodeJS.Signals, started: startOf(Number(pid)) });
}
await Promise.all([...watched].map(([pid, one]) => end(pid, one)));

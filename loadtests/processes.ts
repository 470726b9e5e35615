import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type CpuTime, cpuTimeOf } from "../bench/processes.ts";
import { commandLine } from "../local/processes.ts";

const pageBytes = 4096;
const mebibyte = 2 ** 20;

/** Processes that this one started, and those that they started. Empty where /proc is not to be read. */
function descendants(): number[] {
	const children = new Map<number, number[]>();
	try {
		for (const pid of readdirSync("/proc").map(Number)) {
			const parent = pid > 0 ? parentOf(pid) : null;
			if (parent === null) continue;
			const siblings = children.get(parent);
			if (siblings) siblings.push(pid);
			else children.set(parent, [pid]);
		}
	} catch {
		return [];
	}
	const found = [...(children.get(process.pid) ?? [])];
	for (const pid of found) found.push(...(children.get(pid) ?? []));
	return found;
}

/** Field 4 of proc_pid_stat(5), counted after the name, which may hold spaces. */
function parentOf(pid: number): number | null {
	try {
		return Number(/^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
	} catch {
		return null; // it has just ended
	}
}

/** Processes of a program among those that this one started. */
export function ownProcesses(program: string): number[] {
	return descendants().filter((pid) => basename(commandLine(pid).split(" ")[0] ?? "") === program);
}

/** A process and those that it started itself: PostgreSQL's server and its backends. */
export function withChildren(pid: number): number[] {
	const children = readdirSync("/proc")
		.map(Number)
		.filter((other) => other > 0 && parentOf(other) === pid);
	return [pid, ...children];
}

/** What the server used, at a moment of the run. */
export interface ServerSample {
	readonly seconds: number;
	/** Of one core, since the sample before. */
	readonly cpu: number;
	readonly memoryMiB: number;
}

export interface ServerWatch {
	readonly samples: readonly ServerSample[];
	stop(): void;
}

/** Looks at workerd every second: its processor time and its memory. */
export function watchServer(now: () => number): ServerWatch {
	const samples: ServerSample[] = [];
	let pid = ownProcesses("workerd")[0];
	let before: { readonly cpu: CpuTime; readonly at: number } | null = null;
	const look = () => {
		const cpu = pid === undefined ? undefined : cpuTimeOf(pid);
		const memoryMiB = pid === undefined ? null : memoryOf(pid);
		const at = now();
		if (!cpu || memoryMiB === null) {
			before = null;
			pid = ownProcesses("workerd")[0]; // it was started again
			return;
		}
		if (before && at > before.at) {
			const share = (1000 * (cpu.total - before.cpu.total)) / (at - before.at);
			samples.push({ seconds: at / 1000, cpu: share, memoryMiB });
		}
		before = { cpu, at };
	};
	const timer = setInterval(look, 1_000);
	look();
	return { samples, stop: () => clearInterval(timer) };
}

function memoryOf(pid: number): number | null {
	try {
		const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
		return (pages * pageBytes) / mebibyte;
	} catch {
		return null;
	}
}

/** The server on the files of a data folder. @throws when there is none */
export function postgresPid(dataDir: string): number {
	return Number(readFileSync(join(dataDir, "postgres", "postmaster.pid"), "utf8").split("\n")[0]);
}

import { readdirSync, readFileSync } from "node:fs";

/** CPU time of one process in seconds: all of it, and that of its busiest thread. */
export interface CpuTime {
	readonly total: number;
	readonly byThread: ReadonlyMap<string, number>;
}

/** Of one core: the whole process, and its busiest thread, which is the one that runs JavaScript. */
export interface CpuShare {
	readonly process: number;
	readonly thread: number;
}

const ticksPerSecond = 100; // USER_HZ, the same on every Linux

/** The process with this name in a process group; undefined where /proc is not to be read. */
export function findInGroup(group: number, name: string): number | undefined {
	try {
		return readdirSync("/proc")
			.map(Number)
			.find((pid) => {
				if (!pid) return false;
				const stat = readStat(`/proc/${pid}/stat`);
				return stat?.name === name && stat.group === group;
			});
	} catch {
		return undefined;
	}
}

/** undefined where /proc is not to be read. */
export function cpuTimeOf(pid: number): CpuTime | undefined {
	try {
		const byThread = new Map<string, number>();
		for (const thread of readdirSync(`/proc/${pid}/task`)) {
			const seconds = secondsOf(`/proc/${pid}/task/${thread}`);
			if (seconds !== undefined) byThread.set(thread, seconds);
		}
		const total = [...byThread.values()].reduce((sum, seconds) => sum + seconds, 0);
		return { total, byThread };
	} catch {
		return undefined;
	}
}

export function cpuShare(before: CpuTime, after: CpuTime, seconds: number): CpuShare {
	const used = [...after.byThread].map(
		([thread, time]) => time - (before.byThread.get(thread) ?? 0),
	);
	return { process: (after.total - before.total) / seconds, thread: Math.max(...used) / seconds };
}

/** Seconds in which cores of the machine were busy, summed; undefined where /proc is not to be read. */
export function machineBusySeconds(): number | undefined {
	try {
		// user, nice, system, idle, iowait, irq, softirq, steal: see proc_stat(5).
		const line = readFileSync("/proc/stat", "utf8").split("\n")[0] ?? "";
		const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
			.split(/ +/)
			.slice(1)
			.map(Number);
		return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
	} catch {
		return undefined;
	}
}

/** Of a thread: by the scheduler's own count where there is one, which knows nanoseconds, else by ticks. */
function secondsOf(folder: string): number | undefined {
	try {
		const nanoseconds = Number(readFileSync(`${folder}/schedstat`, "utf8").split(" ")[0]);
		if (nanoseconds > 0) return nanoseconds / 1e9;
	} catch {
		// The kernel was built without it.
	}
	return readStat(`${folder}/stat`)?.seconds;
}

/** Fields of proc_pid_stat(5), counted after the name, which may hold spaces. */
function readStat(file: string) {
	try {
		const [, name = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(file, "utf8")) ?? [];
		const fields = rest.split(" ");
		const ticks = Number(fields[11]) + Number(fields[12]);
		return { name, group: Number(fields[2]), seconds: ticks / ticksPerSecond };
	} catch {
		return undefined; // it has just ended
	}
}

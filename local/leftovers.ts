import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { storageOf, storageRoot } from "./folder.ts";
import { Problem } from "./problem.ts";
import { commandLine, signalIfAlive, waitUntilGone } from "./processes.ts";

const goneTimeoutMs = 5_000;
/** Of a tool of the system's. */
const toolTimeoutMs = 10_000;
/** One that holds workerd may have started it once more, between the look and its end. */
const roundsMost = 3;
/** What a run starts that has files of the data folder open, or works in it. PostgreSQL is stopped in order: postgres.ts. */
const programs = ["workerd", "redis-server"];
/** Where those files are. Not the whole of it: there may be another data folder inside. */
const folders = ["runtime", "redis"];

/**
 * Ends what a run that was killed, its reaper too, left on a data folder: a workerd that is left serves
 * its port, and writes the files that the next one writes. The caller holds the folder's lock, so whatever
 * has its files open belongs to no run that lives. There is no file of process ids to be wrong.
 * @param folder absolute, with no symbolic link in it
 * @throws Problem when one of them does not end
 */
export async function endLeftovers(folder: string): Promise<void> {
	let left: number[] = [];
	for (let round = 0; round < roundsMost; round++) {
		left = leftoversOn(folder);
		if (left.length === 0) return;
		for (const pid of left) signalIfAlive(pid, "SIGKILL"); // it is asked for nothing: its files bear that
		await Promise.all(left.map((pid) => waitUntilGone(pid, goneTimeoutMs)));
	}
	left = leftoversOn(folder);
	if (left.length === 0) return;
	throw new Problem(
		`the data folder ${folder} is in use by what a killed run left, and that does not end: process ${left.join(", ")}`,
	);
}

/** Those that start workerd come first: they would start it again. */
function leftoversOn(folder: string): number[] {
	const hasProc = existsSync("/proc/self/fd");
	const keepers = hasProc ? keepersInProc(folder) : keepersByPs(folder);
	return [...keepers, ...(hasProc ? usersInProc(folder) : usersByLsof(folder))];
}

/** Whether it is the command line of who starts workerd on the folder: ours (runtime-host.ts), or wrangler. */
function isKeeper(command: string, folder: string): boolean {
	const args = `${/(?:^|\/)node (.*)$/s.exec(command)?.[1] ?? ""} `;
	const ours =
		args.includes("/local/runtime-host.ts ") && args.includes(` ${storageOf({ path: folder })} `);
	return (
		ours ||
		(args.includes(" dev ") && args.includes(` --persist-to=${storageRoot({ path: folder })} `))
	);
}

function isFileOf(path: string, folder: string): boolean {
	return folders.some((name) => `${path}/`.startsWith(`${folder}/${name}/`));
}

function keepersInProc(folder: string): number[] {
	return pidsInProc().filter((pid) => isKeeper(commandLine(pid), folder));
}

/** By the name of the program and what it has open: an editor or a backup has files open too. */
function usersInProc(folder: string): number[] {
	return pidsInProc().filter(
		(pid) =>
			programs.includes(nameOf(pid)) && openPaths(pid).some((path) => isFileOf(path, folder)),
	);
}

/**
 * What is left of a PostgreSQL whose server has ended: one that was stopped does not see that, and holds the shared
 * memory. Its files bear its end. None where there is no /proc.
 * @param folder of PostgreSQL's files, in which it works
 */
export async function endBackends(folder: string): Promise<void> {
	if (!existsSync("/proc/self/fd")) return;
	const own = identityOf(folder);
	if (own === null) return;
	const left = pidsInProc().filter(
		(pid) => nameOf(pid) === "postgres" && identityOf(`/proc/${pid}/cwd`) === own,
	);
	for (const pid of left) signalIfAlive(pid, "SIGKILL");
	await Promise.all(left.map((pid) => waitUntilGone(pid, goneTimeoutMs)));
}

/** A container's folder may have the same path, and is another one. */
function identityOf(path: string): string | null {
	try {
		const { dev, ino } = statSync(path);
		return `${dev}:${ino}`;
	} catch {
		return null; // there is none, or it is another user's
	}
}

function pidsInProc(): number[] {
	return readdirSync("/proc")
		.map(Number)
		.filter((pid) => pid > 0);
}

function nameOf(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
	} catch {
		return ""; // it has ended
	}
}

function openPaths(pid: number): string[] {
	try {
		const links = readdirSync(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`);
		return ["cwd", ...links].flatMap((link) => target(`/proc/${pid}/${link}`));
	} catch {
		return []; // it has ended, or is another user's
	}
}

function target(link: string): string[] {
	try {
		return [readlinkSync(link)];
	} catch {
		return []; // it was closed
	}
}

function keepersByPs(folder: string): number[] {
	return linesOf("ps", ["-A", "-o", "pid=,args="]).flatMap((line) => {
		const [, pid, command = ""] = /^\s*(\d+) (.*)$/.exec(line) ?? [];
		return isKeeper(command, folder) ? [Number(pid)] : [];
	});
}

/** The same where there is no /proc. */
export function usersByLsof(folder: string): number[] {
	const names = programs.flatMap((program) => ["-c", program]);
	const users = new Set<number>();
	let pid = 0;
	for (const line of linesOf("lsof", ["-n", "-P", "-w", ...names, "-F", "pn"])) {
		if (line.startsWith("p")) pid = Number(line.slice(1));
		if (line.startsWith("n") && isFileOf(line.slice(1), folder)) users.add(pid);
	}
	return [...users];
}

function linesOf(program: string, args: readonly string[]): string[] {
	const outputBytesMax = 64 * 1024 * 1024;
	const bounds = { maxBuffer: outputBytesMax, timeout: toolTimeoutMs };
	const { stdout } = spawnSync(program, args, { encoding: "utf8", ...bounds });
	return (stdout ?? "").split("\n");
}

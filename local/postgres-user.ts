import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { shellQuoted } from "./options.ts";
import { Problem } from "./problem.ts";

/** Who PostgreSQL's programs run as. PostgreSQL refuses to run as root. */
export interface PostgresUser {
	/** Set only when this process is root and an unprivileged user stands in for it. */
	readonly ids: { readonly uid: number; readonly gid: number } | undefined;
	/** The program and arguments to spawn, with what `spawn` needs to run them as that user. */
	command(
		program: string,
		args: readonly string[],
	): { program: string; args: string[]; ids: { uid?: number; gid?: number } };
}

const setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => existsSync(path));

/**
 * Whoever runs us; if that is root, the user `postgres` of the machine, or else `nobody`.
 * @param folders existing folders that the user has to be able to enter
 */
export function postgresUser(folders: readonly string[]): PostgresUser {
	if (process.getuid?.() !== 0) {
		return { ids: undefined, command: (program, args) => ({ program, args: [...args], ids: {} }) };
	}
	const ids = standIn();
	const closed = folders.map((path) => firstClosed(path, ids)).find((path) => path !== undefined);
	if (closed === undefined) {
		return { ids, command: (program, args) => ({ program, args: [...args], ids }) };
	}
	if (!setpriv) {
		throw new Problem(
			`PostgreSQL does not run as root, and other users can not enter ${closed}: work in another folder, or as another user`,
		);
	}
	const prefix = capabilityArguments(ids);
	const program = setpriv;
	return { ids, command: (file, args) => ({ program, args: [...prefix, file, ...args], ids: {} }) };
}

function standIn(): { readonly uid: number; readonly gid: number } {
	const ids = idsOf("postgres") ?? idsOf("nobody");
	if (ids) return ids;
	throw new Problem(
		"PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody",
	);
}

/**
 * PostgreSQL refuses files of another user's; a copy that root has made with "cp -r" has root's. To be asked before
 * anything is written: what root writes into another user's folder, that user could not open again. The owner is
 * not set right here: there may be links in a folder that others have.
 * @param dataDir absolute
 * @throws Problem where PostgreSQL's files belong to somebody else than it would run as
 */
export function requireOwnFiles(dataDir: string): void {
	const owner = process.getuid?.();
	const files = join(dataDir, "postgres");
	const found = statSync(files, { throwIfNoEntry: false })?.uid;
	if (owner === undefined || found === undefined) return;
	const { uid, gid } = owner === 0 ? standIn() : { uid: owner, gid: process.getgid?.() };
	if (found === uid) return;
	const how = found === 0 ? "" : `start as user ${found}, or `;
	throw new Problem(
		`${files} belongs to user ${found}, and PostgreSQL would run as user ${uid}: ${how}give it the files with: chown -R ${uid}:${gid} ${shellQuoted(files)}`,
	);
}

/**
 * A checkout or data folder under a closed folder such as /root (mode 0700) is out of reach for
 * the unprivileged user, so it keeps one right of root: to pass file permissions. Without
 * no_setuid_fixup, access(2) would ignore that right, and PostgreSQL asks access(2) about itself.
 */
function capabilityArguments({ uid, gid }: { uid: number; gid: number }): string[] {
	const only = "-all,+dac_override";
	return [
		`--reuid=${uid}`,
		`--regid=${gid}`,
		"--clear-groups",
		"--securebits=+no_setuid_fixup",
		`--inh-caps=${only}`,
		`--ambient-caps=${only}`,
		`--bounding-set=${only}`,
		"--",
	];
}

function idsOf(name: string): { uid: number; gid: number } | undefined {
	const lines = existsSync("/etc/passwd") ? readFileSync("/etc/passwd", "utf8").split("\n") : [];
	const fields = lines.map((line) => line.split(":")).find(([user]) => user === name);
	if (fields) return { uid: Number(fields[2]), gid: Number(fields[3]) };
	try {
		const id = (flag: string) => Number(execFileSync("id", [flag, name], { stdio: "pipe" }));
		return { uid: id("-u"), gid: id("-g") };
	} catch {
		return undefined;
	}
}

/** The outermost folder on the way into `path` that the user may not pass through. */
function firstClosed(path: string, { uid, gid }: { uid: number; gid: number }): string | undefined {
	let closed: string | undefined;
	for (let folder = realpathSync(path); ; folder = dirname(folder)) {
		const stat = statSync(folder);
		const bit = stat.uid === uid ? 0o100 : stat.gid === gid ? 0o010 : 0o001;
		if ((stat.mode & bit) === 0) closed = folder;
		if (folder === dirname(folder)) return closed;
	}
}

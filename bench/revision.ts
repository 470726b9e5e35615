import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { inOneLine, Problem } from "../local/problem.ts";
import { type Ground, projectRoot } from "./workers.ts";

const run = promisify(execFile);
const gitTimeoutMs = 30_000;

async function git(...args: string[]): Promise<string> {
	const { stdout } = await run("git", args, { cwd: projectRoot, timeout: gitTimeoutMs });
	return stdout.trim();
}

/** The commit that a name of git's stands for. @throws Problem when there is none */
export async function commitOf(revision: string): Promise<string> {
	// A name that begins with a dash would be a flag of git's.
	const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${revision}^{commit}`];
	try {
		return await git(...args);
	} catch {
		throw new Problem(`git knows no revision "${revision}" here`);
	}
}

/** Whether files that git knows differ from the commit. */
export async function isChanged(): Promise<boolean> {
	return (await git("status", "--porcelain", "--untracked-files=no")) !== "";
}

/** Only the packages' versions decide, not the commands. */
export async function hasSamePackages(commit: string): Promise<boolean> {
	return (await git("diff", "--name-only", commit, "--", "package-lock.json")) === "";
}

/**
 * The files of a commit in the run's folder, with the packages of this project and with its own micro
 * benchmarks over them, so that both revisions are asked the same. @returns the folder
 */
export async function checkOut({ folder, undo }: Ground, commit: string): Promise<string> {
	const root = join(folder.path, `revision-${commit.slice(0, 12)}`);
	try {
		await git("worktree", "add", "--detach", root, commit);
	} catch (error) {
		throw new Problem(`git can not check ${commit} out: ${inOneLine(error)}`, { cause: error });
	}
	undo.add(() => git("worktree", "remove", "--force", root));
	await symlink(join(projectRoot, "node_modules"), join(root, "node_modules"));
	const workers = join("bench", "worker");
	await mkdir(join(root, workers), { recursive: true });
	await cp(join(projectRoot, workers), join(root, workers), {
		recursive: true,
		filter: (_, to) => !(knowsTheInside.test(to) && existsSync(to)),
	});
	return root;
}

/** Files that stand for parts of the service, or call them as its routes do: a revision keeps its own. */
const knowsTheInside = /[\\/](unlimited[\\/]index|micro[\\/]limiter)\.ts$/;

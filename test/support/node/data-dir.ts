import { execFile } from "node:child_process";
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { inject } from "vitest";

/**
 * A data folder that nobody has used. PostgreSQL's files are there already, as its first start would make them,
 * which takes a second of the processor each time: they are made once in a run of the tests, and copied.
 */
export async function newDataDir(): Promise<string> {
	const dataDir = await mkdtemp(join(tmpdir(), "edgesign-data-"));
	await fillDataDir(dataDir);
	return dataDir;
}

/** The same where it is to be. */
export async function fillDataDir(dataDir: string): Promise<void> {
	await mkdir(dataDir, { recursive: true });
	// Not `fs.cp`: the files are of PostgreSQL's own user where root runs the tests.
	await promisify(execFile)("cp", ["-Rp", `${inject("unusedDataDir")}/.`, dataDir]);
}

import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readlinkSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { newKeyEncryptionKey, openDataFolder, writePrivateFile } from "../../../local/folder.ts";
import { startGuard } from "../../../local/guard.ts";
import { readyWorkers } from "../../../local/kept.ts";
import { openCluster } from "../../../local/postgres-cluster.ts";
import { isAlive } from "../../../local/processes.ts";
import { startServices } from "../../../local/services.ts";
import { projectConfig } from "../../../local/stack.ts";
import { createUndo, type Undo } from "../../../local/undo.ts";

/**
 * PostgreSQL with the schema and the gateways, once for all tests in workerd, where each makes a tenant of its
 * own; and the workers' bundles, for those that start a stack.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const undo = createUndo();
	try {
		await useScratchFolder(undo);
		const dataDir = await mkdtemp(join(tmpdir(), "edgesign-test-"));
		const folder = openDataFolder(dataDir);
		undo.add(folder.release);
		const unusedDataDir = join(dataDir, "unused");
		await makeUnused(unusedDataDir);
		await promisify(execFile)("cp", ["-Rp", `${unusedDataDir}/.`, dataDir]);
		const guard = startGuard();
		undo.add(guard.stop);
		const bundleDir = join(dataDir, "bundle");
		const [services] = await Promise.all([
			startServices({ folder, guard, undo, durable: false, urls: [] }),
			readyWorkers(projectConfig, bundleDir), // and the stacks of the tests find them
		]);
		project.provide("bindings", { ...services.vars, OWNER_DATABASE_URL: services.databaseUrl });
		project.provide("bundleDir", bundleDir);
		project.provide("unusedDataDir", unusedDataDir);
	} catch (error) {
		await undo.run();
		throw error;
	}
	return () => undo.run();
}

const memory = "/dev/shm";
/** Process ids are of a namespace: folders of other containers may lie beside these. */
const scratchPrefix = `edgesign-tests-${namespaceOfIds()}-`;
/** Several times what a whole run has there at once. */
const roomLeast = 4 * 2 ** 30;

/**
 * Gives the temporary files of this process, and of what it starts, a folder that goes with all that processes
 * which were killed have left in it: in memory where that will do, for they are many, and none lives for long.
 */
async function useScratchFolder(undo: Undo): Promise<void> {
	const isChosen = process.env.TMPDIR !== undefined;
	const parent = !isChosen && (await willDo(memory)) ? memory : tmpdir();
	await sweep(parent);
	const folder = await mkdtemp(join(parent, `${scratchPrefix}${process.pid}-`));
	undo.add(() => rm(folder, { recursive: true, force: true }));
	await chmod(folder, 0o711); // PostgreSQL has a user of its own where root runs the tests
	process.env.TMPDIR = folder;
}

/** Removes what runs that were killed have left: in memory it would stay until the machine is started anew. */
async function sweep(parent: string): Promise<void> {
	for (const name of await readdir(parent)) {
		const pid = Number(new RegExp(`^${scratchPrefix}(\\d+)-`).exec(name)?.[1]);
		const isLeft = pid > 0 && !isAlive(pid);
		if (isLeft) await rm(join(parent, name), { recursive: true, force: true }).catch(() => {});
	}
}

function namespaceOfIds(): string {
	try {
		return readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
	} catch {
		return "0"; // a system that has one alone
	}
}

/** Whether there is much room, and what is written there can be run: containers often forbid it. */
async function willDo(folder: string): Promise<boolean> {
	const program = join(folder, `${scratchPrefix}${randomUUID()}`);
	try {
		const { bavail, bsize } = await statfs(folder);
		if (Math.min(bavail * bsize, process.availableMemory()) < roomLeast) return false;
		await writeFile(program, "#!/bin/sh\n", { mode: 0o700 });
		await promisify(execFile)(program);
		return true;
	} catch {
		return false;
	} finally {
		await rm(program, { force: true });
	}
}

/** What a first start makes before it starts anything: the keys, then PostgreSQL's files. */
async function makeUnused(path: string): Promise<void> {
	await mkdir(path, { mode: 0o711 });
	await writePrivateFile(join(path, "key-encryption-keys"), `${newKeyEncryptionKey()}\n`);
	await openCluster(path);
}

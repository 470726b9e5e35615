import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { newKeyEncryptionKey, openDataFolder, writePrivateFile } from "../../../local/folder.ts";
import { startGuard } from "../../../local/guard.ts";
import { readyWorkers } from "../../../local/kept.ts";
import { openCluster } from "../../../local/postgres-cluster.ts";
import { startServices } from "../../../local/services.ts";
import { projectConfig } from "../../../local/stack.ts";
import { createUndo } from "../../../local/undo.ts";

/**
 * PostgreSQL with the schema and the gateways, once for all tests in workerd, where each makes a tenant of its
 * own; and the workers' bundles, for those that start a stack.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const dataDir = await mkdtemp(join(tmpdir(), "edgesign-test-"));
	const undo = createUndo();
	undo.add(() => rm(dataDir, { recursive: true, force: true }));
	try {
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

/** What a first start makes before it starts anything: the keys, then PostgreSQL's files. */
async function makeUnused(path: string): Promise<void> {
	await mkdir(path, { mode: 0o711 });
	await writePrivateFile(join(path, "key-encryption-keys"), `${newKeyEncryptionKey()}\n`);
	await openCluster(path);
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { bundleWorkers } from "../../../local/bundle.ts";
import { openDataFolder } from "../../../local/folder.ts";
import { startGuard } from "../../../local/guard.ts";
import { startServices } from "../../../local/services.ts";
import { projectConfig } from "../../../local/stack.ts";
import { createUndo } from "../../../local/undo.ts";

/**
 * PostgreSQL with the schema and the gateways, once for all tests in workerd, where each makes a tenant of its
 * own; and the worker's bundle, for those that start a stack.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const dataDir = await mkdtemp(join(tmpdir(), "edgesign-test-"));
	const undo = createUndo();
	undo.add(() => rm(dataDir, { recursive: true, force: true }));
	try {
		const folder = openDataFolder(dataDir);
		undo.add(folder.release);
		const guard = startGuard();
		undo.add(guard.stop);
		const bundleDir = join(dataDir, "bundle");
		const [services] = await Promise.all([
			startServices({ folder, guard, undo, durable: false, urls: [] }),
			bundleWorkers(projectConfig, bundleDir),
		]);
		project.provide("bindings", { ...services.vars, OWNER_DATABASE_URL: services.databaseUrl });
		project.provide("bundleDir", bundleDir);
	} catch (error) {
		await undo.run();
		throw error;
	}
	return () => undo.run();
}

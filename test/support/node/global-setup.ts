import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { openDataFolder } from "../../../local/folder.ts";
import { startGuard } from "../../../local/guard.ts";
import { startServices } from "../../../local/services.ts";
import { createUndo } from "../../../local/undo.ts";

declare module "vitest" {
	interface ProvidedContext {
		/** What the worker under test gets as its environment, and the owner's database for the tests themselves. */
		bindings: Record<string, string>;
	}
}

/** PostgreSQL with the schema and the gateways, once for all tests in workerd. Each test makes a tenant of its own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const dataDir = await mkdtemp(join(tmpdir(), "edgesign-test-"));
	const undo = createUndo();
	undo.add(() => rm(dataDir, { recursive: true, force: true }));
	try {
		const folder = openDataFolder(dataDir);
		undo.add(folder.release);
		const guard = startGuard();
		undo.add(guard.stop);
		const services = await startServices({ folder, guard, undo, durable: false, urls: [] });
		project.provide("bindings", { ...services.vars, OWNER_DATABASE_URL: services.databaseUrl });
	} catch (error) {
		await undo.run();
		throw error;
	}
	return () => undo.run();
}

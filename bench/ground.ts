import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDataFolder } from "../local/folder.ts";
import { startGuard } from "../local/guard.ts";
import { createUndo } from "../local/undo.ts";
import type { Ground } from "./workers.ts";

/** A data folder of its own in the system's place for such; it and all that runs on it go in the end. */
export async function onFreshGround(work: (ground: Ground) => Promise<void>): Promise<void> {
	const path = await mkdtemp(join(tmpdir(), "edgesign-bench-"));
	const undo = createUndo();
	try {
		const folder = openDataFolder(path);
		undo.add(folder.release);
		const guard = startGuard();
		undo.add(guard.stop);
		await work({ folder, guard, undo });
	} finally {
		await undo.run();
		await rm(path, { recursive: true, force: true });
	}
}

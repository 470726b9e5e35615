import { join } from "node:path";
import type { DataFolder } from "../local/folder.ts";
import type { Guard } from "../local/guard.ts";
import { freePort } from "../local/ports.ts";
import { prepareRuntime, type RuntimeProcess } from "../local/runtime-process.ts";
import type { Undo } from "../local/undo.ts";

/** What every part of a run stands on: a folder that goes when it ends, and nothing that outlives it. */
export interface Ground {
	readonly folder: DataFolder;
	readonly guard: Guard;
	readonly undo: Undo;
}

export interface BenchWorker {
	readonly url: string;
	readonly port: number;
	/** The process group that holds its workerd. */
	readonly group: number;
	readonly scheduled: RuntimeProcess["scheduled"];
}

export function benchConfig(name: "micro" | "empty"): string {
	return join(import.meta.dirname, "worker", name, "wrangler.toml");
}

/** Bundles a worker as it would be deployed and runs it as `npm start` does, in a workerd of its own. */
export async function startWorker(
	{ folder, guard, undo }: Ground,
	name: string,
	configPath: string,
	vars: Readonly<Record<string, string>> = {},
): Promise<BenchWorker> {
	let group = 0;
	const runtime = prepareRuntime({
		configPath,
		bundleDir: join(folder.path, `bundle-${name}`),
		storageDir: join(folder.path, `runtime-${name}`),
		onSpawn: (pid) => {
			group = pid;
			guard.watch(pid, "SIGKILL");
		},
	});
	undo.add(runtime.stop);
	const port = await freePort();
	const { urls } = await runtime.start({ ports: [port], vars });
	const [url] = urls;
	if (url === undefined) throw new Error(`the worker ${name} has no address`);
	return { url, port, group, scheduled: runtime.scheduled };
}

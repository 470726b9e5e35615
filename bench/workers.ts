import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { DataFolder } from "../local/folder.ts";
import type { Guard } from "../local/guard.ts";
import { freePort } from "../local/ports.ts";
import { prepareRuntime, type RuntimeProcess } from "../local/runtime-process.ts";
import { projectConfig } from "../local/stack.ts";
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

/** The service as it is deployed, but for this. */
export interface Variant {
	/** The entry point, in place of src/index.ts. */
	readonly main?: string;
	/** Files that stand for imports, which are named as the service's own files spell them. */
	readonly alias?: Readonly<Record<string, string>>;
	/** Not minified: functions have the names of the sources, as far as one bundle can. */
	readonly readable?: true;
}

/** The project's configuration, changed: written into the folder, so its paths become absolute. */
export async function variantConfig(
	{ folder }: { readonly folder: Pick<DataFolder, "path"> },
	name: string,
	{ main, alias = {}, readable }: Variant,
): Promise<string> {
	const root = dirname(projectConfig);
	const absolute = {
		"src/index.ts": main ?? join(root, "src/index.ts"),
		public: join(root, "public"),
	};
	let text = await readFile(projectConfig, "utf8");
	for (const [path, to] of Object.entries(absolute)) {
		if (!text.includes(`= "${path}"`)) throw new Error(`${projectConfig} names no "${path}"`);
		text = text.replace(`= "${path}"`, `= ${JSON.stringify(to)}`);
	}
	if (readable) text = text.replace(/^minify = true$/m, "minify = false");
	const lines = Object.entries(alias).map((pair) =>
		pair.map((end) => JSON.stringify(end)).join(" = "),
	);
	const path = join(folder.path, `${name}.toml`);
	await writeFile(path, [text, "[alias]", ...lines, ""].join("\n"));
	return path;
}

/** Bundles a worker as it would be deployed and runs it as `npm start` does, in a workerd of its own. */
export async function startWorker(
	{ folder, guard, undo }: Ground,
	name: string,
	configPath: string,
	vars: Readonly<Record<string, string>> = {},
	inspectorPort?: number,
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
	const { urls } = await runtime.start({ ports: [port], vars, inspectorPort });
	const [url] = urls;
	if (url === undefined) throw new Error(`the worker ${name} has no address`);
	return { url, port, group, scheduled: runtime.scheduled };
}

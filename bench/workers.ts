import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { archiveConfigOf, bundleWorkers, textElsewhere } from "../local/bundle.ts";
import type { DataFolder } from "../local/folder.ts";
import type { Guard } from "../local/guard.ts";
import { freePort } from "../local/ports.ts";
import { prepareRuntime, type RuntimeProcess } from "../local/runtime-process.ts";
import type { Undo } from "../local/undo.ts";
import { findInGroup } from "./processes.ts";

/** What every part of a run stands on: a folder that goes when it ends, and nothing that outlives it. */
export interface Ground {
	readonly folder: DataFolder;
	readonly guard: Guard;
	readonly undo: Undo;
}

/** What the generator sends its requests to. */
export interface Server {
	readonly port: number;
	/** Of the process that answers; undefined where the system does not tell. */
	pid(): number | undefined;
}

export interface BenchWorker extends Server {
	readonly url: string;
	readonly scheduled: RuntimeProcess["scheduled"];
	stop(): Promise<void>;
}

/** This project, as it is on the disk now. */
export const projectRoot = join(import.meta.dirname, "..");

export function benchConfig(name: "micro" | "empty", root = projectRoot): string {
	return join(root, "bench", "worker", name, "wrangler.toml");
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

/**
 * The configuration of a project, changed: written into the folder, so its paths become absolute. The
 * archive's worker, where the project has one, stands beside it as it is.
 */
export async function variantConfig(
	{ folder }: { readonly folder: Pick<DataFolder, "path"> },
	name: string,
	{ main, alias = {}, readable }: Variant,
	root = projectRoot,
): Promise<string> {
	const path = join(folder.path, `${name}.toml`);
	const source = join(root, "wrangler.toml");
	let text = await textElsewhere(source, {
		"src/index.ts": main ?? join(root, "src/index.ts"),
		public: join(root, "public"),
	});
	if (readable) text = text.replace(/^minify = true$/m, "minify = false");
	const lines = Object.entries(alias).map((pair) =>
		pair.map((end) => JSON.stringify(end)).join(" = "),
	);
	await writeFile(path, [text, "[alias]", ...lines, ""].join("\n"));
	const archive = archiveConfigOf(source);
	if (existsSync(archive)) {
		const absolute = { "src/archive.ts": join(root, "src/archive.ts") };
		await writeFile(archiveConfigOf(path), await textElsewhere(archive, absolute));
	}
	return path;
}

/** A worker that is bundled, and can be started again and again. */
export interface Built {
	readonly name: string;
	readonly configPath: string;
	readonly bundleDir: string;
}

/** Bundles a worker as it would be deployed. */
export async function buildWorker(
	{ folder }: Ground,
	name: string,
	configPath: string,
): Promise<Built> {
	const bundleDir = join(folder.path, `bundle-${name}`);
	await bundleWorkers(configPath, bundleDir);
	return { name, configPath, bundleDir };
}

/** Runs a worker as `npm start` does, in a workerd of its own. Its storage is that of the runs before. */
export async function launchWorker(
	{ folder, guard, undo }: Ground,
	{ name, configPath, bundleDir }: Built,
	vars: Readonly<Record<string, string>> = {},
	inspectorPort?: number,
): Promise<BenchWorker> {
	let group = 0;
	const runtime = prepareRuntime({
		configPath,
		bundleDir,
		bundled: true,
		storageDir: join(folder.path, `runtime-${name}`),
		onSpawn: (pid) => {
			group = pid;
			guard.watch(pid, "SIGKILL");
		},
	});
	let stopped = false;
	const stop = async () => {
		if (!stopped) await runtime.stop();
		stopped = true;
	};
	undo.add(stop);
	const port = await freePort();
	const { urls } = await runtime.start({ ports: [port], vars, inspectorPort });
	const [url] = urls;
	if (url === undefined) throw new Error(`the worker ${name} has no address`);
	const pid = () => findInGroup(group, "workerd");
	return { url, port, pid, scheduled: runtime.scheduled, stop };
}

/** Bundles a worker and runs it. */
export async function startWorker(
	ground: Ground,
	name: string,
	configPath: string,
	vars: Readonly<Record<string, string>> = {},
	inspectorPort?: number,
): Promise<BenchWorker> {
	return launchWorker(ground, await buildWorker(ground, name, configPath), vars, inspectorPort);
}

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { V4WorkerOptions } from "miniflare";
import {
	type BundledModule,
	bundledModules,
	bundleWorker,
	makeBundleFolder,
	metafileName,
	workersOf,
} from "./bundle.ts";

/**
 * What wrangler makes of a project takes it seconds each time, and is the same until something changes that
 * it is made of. It is kept under `node_modules`, and goes with that; a project without is read anew.
 */

/** What the time of a file may lag behind the clock. */
const clockGrainMs = 20;

/** Files of variables that wrangler reads without being told to. */
const variables = /^\.(dev\.vars|env)(\.|$)/;

/** What a configuration says of the worker. */
export interface WorkerConfig {
	readonly name: string;
	/** The cron lines. */
	readonly crons: readonly string[];
	readonly options: Partial<V4WorkerOptions>;
}

/** A worker that can be run. */
export interface ReadyWorker {
	readonly config: WorkerConfig;
	/** The worker itself first. */
	readonly modules: readonly BundledModule[];
}

/** A bundle as it was written, and the SHA-256 of each file that it was made of. */
interface KeptBundle {
	readonly inputs: ReadonlyMap<string, string>;
	readonly files: ReadonlyMap<string, Uint8Array>;
}

/**
 * The workers of a service, its own first, bundled into `outDir` and folders beside it; `isBundled` where they
 * are there already.
 */
export function readyWorkers(
	configPath: string,
	outDir: string,
	isBundled = false,
): Promise<ReadyWorker[]> {
	const ready = async (worker: { readonly configPath: string; readonly outDir: string }) => {
		const [config, modules] = await Promise.all([
			workerConfig(worker.configPath),
			isBundled ? bundledModules(worker.outDir) : workerBundle(worker.configPath, worker.outDir),
		]);
		return { config, modules };
	};
	return Promise.all(workersOf(configPath, outDir).map(ready));
}

/** Reads wrangler.toml as wrangler does. */
async function workerConfig(configPath: string): Promise<WorkerConfig> {
	const kept = await keptAs<WorkerConfig>(configPath, "config");
	// Variables of files beside it are in it too: they may be secrets, and change without it.
	const isAlone = !(await readdir(dirname(configPath))).some((name) => variables.test(name));
	if (isAlone && kept.value) return kept.value;
	// Not before it is needed: it takes seconds to load.
	const { unstable_getMiniflareWorkerOptions, unstable_readConfig } = await import("wrangler");
	const { name = "worker", triggers } = unstable_readConfig(
		{ config: configPath },
		{ hideWarnings: true },
	);
	const options: Partial<V4WorkerOptions> =
		unstable_getMiniflareWorkerOptions(configPath).workerOptions;
	const config = { name, crons: triggers.crons ?? [], options };
	if (isAlone) await kept.keep(config);
	return config;
}

/**
 * Bundles the worker into `outDir` as bundleWorker does, or writes there what was bundled of the same files.
 * @throws Problem with the compiler's words
 */
export async function workerBundle(
	configPath: string,
	outDir: string,
	bundle: typeof bundleWorker = bundleWorker,
): Promise<BundledModule[]> {
	const root = dirname(configPath);
	const kept = await keptAs<KeptBundle>(configPath, "bundle");
	if (kept.value && (await areTheSame(root, kept.value.inputs))) {
		await makeBundleFolder(outDir);
		for (const [name, bytes] of kept.value.files) {
			await mkdir(dirname(join(outDir, name)), { recursive: true });
			await writeFile(join(outDir, name), bytes);
		}
		return bundledModules(outDir);
	}
	const began = Date.now();
	const modules = await bundle(configPath, outDir);
	const made = await readBundle(root, outDir, began).catch(() => undefined);
	if (made) await kept.keep(made);
	return modules;
}

async function areTheSame(root: string, inputs: KeptBundle["inputs"]): Promise<boolean> {
	const isTheSame = async ([path, digest]: [string, string]) =>
		digestOf(await readFile(join(root, path))) === digest;
	return Promise.all([...inputs].map(isTheSame)).then(
		(same) => same.every(Boolean),
		() => false, // one is gone
	);
}

/** @throws Error when an input is no file, or may have changed since it was read */
async function readBundle(root: string, outDir: string, began: number): Promise<KeptBundle> {
	const meta = JSON.parse(await readFile(join(outDir, metafileName), "utf8")) as {
		readonly inputs: Readonly<Record<string, unknown>>;
	};
	const inputs = await Promise.all(
		Object.keys(meta.inputs).map(async (path): Promise<[string, string]> => {
			const file = join(root, path);
			const { mtimeMs, ctimeMs } = await stat(file);
			const isOld = Math.max(mtimeMs, ctimeMs) < began - clockGrainMs;
			if (!isOld) throw new Error(`${path} may have been written meanwhile`);
			return [path, digestOf(await readFile(file))];
		}),
	);
	const entries = await readdir(outDir, { recursive: true, withFileTypes: true });
	const files = await Promise.all(
		entries
			.filter((entry) => entry.isFile() && entry.name !== metafileName)
			.map(async ({ parentPath, name }): Promise<[string, Uint8Array]> => {
				const path = join(parentPath, name);
				return [relative(outDir, path), await readFile(path)];
			}),
	);
	return { inputs: new Map(inputs), files: new Map(files) };
}

interface Kept<Value> {
	/** Of the same configuration and the same packages; undefined where there is none. */
	readonly value: Value | undefined;
	keep(value: Value): Promise<void>;
}

async function keptAs<Value>(configPath: string, kind: string): Promise<Kept<Value>> {
	const root = dirname(configPath);
	const modules = join(root, "node_modules");
	if (!existsSync(modules)) return { value: undefined, keep: async () => {} };
	const key = await keyOf(configPath);
	const folder = join(modules, ".cache", "edgesign");
	const file = join(
		folder,
		`${kind}-${digestOf(JSON.stringify(ofCaller(configPath))).slice(0, 16)}`,
	);
	return {
		value: await readKept<Value>(file, key),
		async keep(value) {
			const draft = `${file}.${process.pid}`;
			if ((await keyOf(configPath)) !== key) return; // it was changed while it was read
			try {
				await mkdir(folder, { recursive: true });
				await writeFile(draft, serialize({ key, value }));
				// Others who use the project may read it, there is no secret in it; and nobody else may write it.
				await chmod(folder, 0o755);
				await chmod(draft, 0o644);
				await rename(draft, file);
			} catch {
				// A folder that can not be written: the next start takes as long as this one.
			}
		},
	};
}

/** Undefined where nothing is kept, or not of this; and where it can not be read: it is made anew then. */
async function readKept<Value>(file: string, key: string): Promise<Value | undefined> {
	try {
		const kept = deserialize(await readFile(file)) as { key: string; value: Value };
		return kept.key === key ? kept.value : undefined;
	} catch {
		return undefined;
	}
}

/** Of all that decides what wrangler makes, beside the files that it bundles. */
async function keyOf(configPath: string): Promise<string> {
	const root = dirname(configPath);
	const paths = [
		configPath,
		...["package.json", "package-lock.json", "tsconfig.json"].map((name) => join(root, name)),
		join(import.meta.dirname, "kept.ts"),
		join(import.meta.dirname, "bundle.ts"),
	];
	const texts = paths.map((path) => readFile(path, "utf8").catch(() => ""));
	return digestOf(JSON.stringify([...ofCaller(configPath), ...(await Promise.all(texts))]));
}

/** What differs between those who use one project: what is kept for one does not push out the other's. */
function ofCaller(configPath: string): unknown[] {
	const environment = ["CLOUDFLARE_ENV", "NODE_ENV"].map((name) => process.env[name] ?? null);
	return [configPath, process.version, ...environment];
}

function digestOf(content: string | Uint8Array): string {
	return createHash("sha256").update(content).digest("hex");
}

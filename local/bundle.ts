import { spawn } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, extname, join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { gzipSync } from "node:zlib";
import { Problem } from "./problem.ts";

/** No reports to wrangler's makers, no log files in the home folder, no look-up of where we are. */
export const wranglerEnvironment = {
	WRANGLER_SEND_METRICS: "false",
	WRANGLER_SEND_ERROR_REPORTS: "false",
	WRANGLER_WRITE_LOGS: "false",
	WRANGLER_HIDE_BANNER: "true",
	CLOUDFLARE_CF_FETCH_ENABLED: "false",
	NO_UPDATE_NOTIFIER: "1",
} as const;

/**
 * Of what runs wrangler or its libraries for the local stack.
 * @param spare where it may keep what it would keep in a home folder that can not be written
 */
export function wranglerVariables(spare?: string): NodeJS.ProcessEnv {
	// Its configuration has no environments: one of another project's would be refused.
	const { CLOUDFLARE_ENV: _, ...env } = process.env;
	const home = env.XDG_CONFIG_HOME || join(homedir(), ".config");
	const isWritable = unwritable([join(home, ".wrangler"), home, dirname(home)]) === undefined;
	const elsewhere = spare === undefined || isWritable ? {} : { XDG_CONFIG_HOME: spare };
	return { ...env, ...wranglerEnvironment, ...elsewhere };
}

/** The first of these that is there, or else the last, where we may not make files in it. */
function unwritable(folders: readonly string[]): string | undefined {
	const folder = folders.find((path) => existsSync(path)) ?? folders.at(-1) ?? "/";
	try {
		accessSync(folder, constants.W_OK | constants.X_OK);
		return undefined;
	} catch {
		return folder;
	}
}

/** The command line program, to run with `process.execPath`. */
export function wranglerProgram(): string {
	const require = createRequire(import.meta.url);
	return join(dirname(require.resolve("wrangler/package.json")), "bin", "wrangler.js");
}

export interface BundledModule {
	readonly type: "ESModule" | "CompiledWasm" | "Text" | "Data";
	readonly path: string;
}

/** Where the bundler lists what it bundled, beside the modules. */
export const metafileName = "bundle-meta.json";

/** How wrangler's default rules read a file that was bundled beside the worker. */
const moduleTypes: Readonly<Record<string, BundledModule["type"]>> = {
	".js": "ESModule",
	".mjs": "ESModule",
	".wasm": "CompiledWasm",
	".txt": "Text",
	".html": "Text",
	".sql": "Text",
	".bin": "Data",
};

/**
 * Bundles the worker into `outDir` exactly as it is deployed: by wrangler, from its configuration.
 * @returns the modules, the worker itself first
 * @throws Problem with the compiler's words
 */
export async function bundleWorker(configPath: string, outDir: string): Promise<BundledModule[]> {
	requireWrangler(dirname(configPath));
	await makeBundleFolder(outDir);
	const args = ["deploy", "--dry-run", "--outdir", outDir, "--config", configPath];
	args.push("--metafile", join(outDir, metafileName));
	const { code, output } = await runWrangler(args);
	if (code !== 0) throw new Problem(`the worker does not build:\n${readable(output)}`);
	return bundledModules(outDir);
}

/** Empty, and of the owner alone: what is in it is run. */
export async function makeBundleFolder(outDir: string): Promise<void> {
	await rm(outDir, { recursive: true, force: true });
	await mkdir(outDir, { recursive: true, mode: 0o700 });
	await chmod(outDir, 0o700);
}

/**
 * It has no setting for where its temporary files are.
 * @throws Problem with the folder that it could not write
 */
export function requireWrangler(projectFolder: string): void {
	const temporary = join(projectFolder, ".wrangler", "tmp");
	const folder = unwritable([temporary, dirname(temporary), projectFolder]);
	if (folder === undefined) return;
	throw new Problem(
		`wrangler has to write ${temporary}: make ${folder} writable, or work in a copy of the project`,
	);
}

/** The modules of a worker that was bundled into `outDir`, the worker itself first. */
export async function bundledModules(outDir: string): Promise<BundledModule[]> {
	const files = (await readdir(outDir, { recursive: true })).sort();
	const modules = files.flatMap((file): BundledModule[] => {
		const type = moduleTypes[extname(file)];
		return type ? [{ type, path: join(outDir, file) }] : [];
	});
	// The worker itself is what wrangler made, and has a source map.
	const maps = new Set(files.filter((file) => file.endsWith(".map")));
	const isMain = ({ path }: BundledModule) => maps.has(`${relative(outDir, path)}.map`);
	return [...modules.filter(isMain), ...modules.filter((module) => !isMain(module))];
}

/** A worker that is bundled, and the configuration that it was bundled from. */
export interface BundledWorker {
	readonly configPath: string;
	/** The worker itself first. */
	readonly modules: readonly BundledModule[];
}

/** Of the archive's worker, which stands beside the service's own: `NAME.archive.toml` beside `NAME.toml`. */
export function archiveConfigOf(configPath: string): string {
	return configPath.replace(/\.toml$/, ".archive.toml");
}

/** A configuration's text for a file in another folder, where its relative paths would lead nowhere. */
export async function textElsewhere(
	configPath: string,
	absolute: Readonly<Record<string, string>>,
): Promise<string> {
	let text = await readFile(configPath, "utf8");
	for (const [path, to] of Object.entries(absolute)) {
		if (!text.includes(`= "${path}"`)) throw new Error(`${configPath} names no "${path}"`);
		text = text.replace(`= "${path}"`, `= ${JSON.stringify(to)}`);
	}
	return text;
}

/** The configurations of a service's workers and their folders: its own first, the archive's where it has one. */
export function workersOf(configPath: string, outDir: string) {
	const own = { configPath, outDir };
	const archive = archiveConfigOf(configPath);
	return existsSync(archive) ? [own, { configPath: archive, outDir: `${outDir}-archive` }] : [own];
}

/** Bundles a service: its own worker into `outDir`, the archive's into a folder beside it. */
export function bundleWorkers(configPath: string, outDir: string): Promise<BundledWorker[]> {
	return Promise.all(
		workersOf(configPath, outDir).map(async (worker) => ({
			configPath: worker.configPath,
			modules: await bundleWorker(worker.configPath, worker.outDir),
		})),
	);
}

/** The size in bytes of what is uploaded, as it is and compressed as the platform counts it. */
export async function sizeOf(
	modules: readonly BundledModule[],
): Promise<{ raw: number; gzip: number }> {
	const parts = await Promise.all(modules.map(({ path }) => readFile(path)));
	const all = Buffer.concat(parts);
	return { raw: all.length, gzip: gzipSync(all, { level: 9 }).length };
}

function runWrangler(args: string[]): Promise<{ code: number | null; output: string }> {
	return new Promise((resolve, reject) => {
		const child = spawn(process.execPath, [wranglerProgram(), ...args], {
			stdio: ["ignore", "pipe", "pipe"],
			env: { ...wranglerVariables(), NO_COLOR: "1", FORCE_COLOR: "0" },
		});
		let output = "";
		const collect = (chunk: Buffer) => {
			output += chunk;
		};
		child.stdout.on("data", collect);
		child.stderr.on("data", collect);
		child.once("error", reject);
		child.once("close", (code) => resolve({ code, output }));
	});
}

/** What wrangler says from its first error on, without its decoration. */
function readable(output: string): string {
	const lines = stripVTControlCharacters(output).split("\n");
	const first = lines.findIndex((line) => /\[ERROR\]/.test(line));
	return lines.slice(Math.max(first, 0)).join("\n").trim();
}

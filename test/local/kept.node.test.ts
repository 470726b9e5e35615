import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { bundledModules, metafileName } from "../../local/bundle.ts";
import { readyWorkers, workerBundle } from "../../local/kept.ts";

let root: string;
let configPath: string;
let bundles: number;
let duringBundling: () => Promise<void>;

beforeEach(async () => {
	root = await mkdtemp(join(tmpdir(), "edgesign-kept-"));
	onTestFinished(() => rm(root, { recursive: true, force: true }));
	configPath = join(root, "wrangler.toml");
	await mkdir(join(root, "node_modules", "package"), { recursive: true });
	await write("wrangler.toml", 'name = "fixture"');
	await write("worker.js", "one");
	await write("node_modules/package/index.js", "two");
	inputs = [...allInputs];
	bundles = 0;
	duringBundling = async () => {};
});

/** Long ago, as far as the bundler is concerned. */
async function write(path: string, text: string): Promise<void> {
	await writeFile(join(root, path), text);
	await utimes(join(root, path), 0, 0);
	// The time of the change itself can not be set: it has to be over.
	await new Promise((resolve) => setTimeout(resolve, 30));
}

const allInputs = ["worker.js", "node_modules/package/index.js"];
let inputs: string[];

/** Stands for wrangler: one module of all inputs, and its map. */
async function bundle(_: string, outDir: string) {
	bundles++;
	await mkdir(outDir, { recursive: true });
	const texts = await Promise.all(inputs.map((path) => readFile(join(root, path), "utf8")));
	await writeFile(join(outDir, "index.js"), texts.join(" "));
	await writeFile(join(outDir, "index.js.map"), "map");
	const meta = { inputs: Object.fromEntries(inputs.map((path) => [path, {}])) };
	await writeFile(join(outDir, metafileName), JSON.stringify(meta));
	await duringBundling();
	return bundledModules(outDir);
}

/** What is run in the end. */
async function bundled(): Promise<string> {
	const outDir = join(root, "bundle");
	const [main] = await workerBundle(configPath, outDir, bundle);
	expect(main).toEqual({ type: "ESModule", path: join(outDir, "index.js") });
	expect(await readdir(outDir)).toEqual(expect.arrayContaining(["index.js", "index.js.map"]));
	return readFile(main?.path ?? "", "utf8");
}

test("what is kept can be read by all, and what is run by its owner alone, whatever the umask", async () => {
	const before = process.umask(0o000);
	onTestFinished(() => void process.umask(before));
	for (let starts = 0; starts < 2; starts++) {
		await bundled();
		if (starts > 0) expect((await stat(join(root, "bundle"))).mode & 0o777).toBe(0o700);
		process.umask(0o077);
	}
	const folder = join(root, "node_modules", ".cache", "edgesign");
	const [kept = ""] = await readdir(folder);
	expect((await stat(folder)).mode & 0o777).toBe(0o755);
	expect((await stat(join(folder, kept))).mode & 0o777).toBe(0o644);
});

test("a worker is bundled once, as long as nothing changes", async () => {
	expect([await bundled(), await bundled(), await bundled()]).toEqual(Array(3).fill("one two"));
	expect(bundles).toBe(1);
});

test.each(allInputs)("a change of %s is bundled", async (path) => {
	await bundled();
	await write(path, "three");
	expect(await bundled()).toContain("three");
	expect(bundles).toBe(2);
});

test.each(["wrangler.toml", "package-lock.json", "tsconfig.json"])(
	"with another %s it is bundled anew",
	async (path) => {
		await bundled();
		await write(path, "other = true");
		await bundled();
		expect(bundles).toBe(2);
	},
);

test("a file that is gone is the bundler's to tell of", async () => {
	await bundled();
	await rm(join(root, "worker.js"));
	await expect(bundled()).rejects.toThrow("ENOENT");
});

test("what changed while it was bundled is not taken for what was bundled", async () => {
	duringBundling = () => write("worker.js", "meanwhile");
	await bundled();
	duringBundling = async () => {};
	expect(await bundled()).toBe("meanwhile two");
	expect(bundles).toBe(2);
});

test("what is kept and can not be read is made anew", async () => {
	await bundled();
	const folder = join(root, "node_modules", ".cache", "edgesign");
	const [kept = ""] = await readdir(folder);
	await writeFile(join(folder, kept), "not what was kept");
	expect(await bundled()).toBe("one two");
	expect(await bundled()).toBe("one two");
	expect(bundles).toBe(2);
});

test("a project without node_modules keeps nothing", async () => {
	await rm(join(root, "node_modules"), { recursive: true });
	inputs = ["worker.js"];
	await bundled();
	await bundled();
	expect(bundles).toBe(2);
});

test("variables in a file beside the configuration are read anew, and not kept", async () => {
	const outDir = join(root, "bundle");
	await bundle("", outDir);
	const bindings = async () => {
		const [worker] = await readyWorkers(configPath, outDir, true);
		return worker?.config.options.bindings?.SETTING;
	};
	const vars = join(root, ".dev.vars");
	await writeFile(vars, "SETTING=7");
	const first = await bindings();
	await writeFile(vars, "SETTING=9");
	const second = await bindings();
	await rm(vars);
	expect([first, second, await bindings()]).toEqual(["7", "9", undefined]);
});

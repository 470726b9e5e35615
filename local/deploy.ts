import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	archiveConfigOf,
	bundleWorkers,
	sizeOf,
	wranglerEnvironment,
	wranglerProgram,
} from "./bundle.ts";
import { Problem, runCommand } from "./problem.ts";
import { requireTemporaryFolder } from "./processes.ts";
import { projectConfig } from "./stack.ts";

const gzipBytesMax = 200 * 1024;
const help = `npm run deploy -- [--dry-run] [FLAGS OF WRANGLER DEPLOY]

Bundles the workers, checks the size of the one that answers requests, and deploys both to Cloudflare:
the archive's first, because the service binds to it.
  --dry-run   bundle and check only`;

function kilobytes(bytes: number): string {
	return `${(bytes / 1024).toFixed(1)} KiB`;
}

/** What a visitor's region has to load before the first answer: it is kept small. */
async function checkSize(): Promise<void> {
	requireTemporaryFolder();
	const folder = await mkdtemp(join(tmpdir(), "edgesign-deploy-"));
	try {
		const bundled = await bundleWorkers(projectConfig, join(folder, "bundle"));
		const sizes = await Promise.all(bundled.map(({ modules }) => sizeOf(modules)));
		for (const [index, { raw, gzip }] of sizes.entries()) {
			const which = index === 0 ? "The worker" : "The archive's worker";
			console.log(`${which} is ${kilobytes(raw)}, compressed ${kilobytes(gzip)}.`);
		}
		if ((sizes[0]?.gzip ?? 0) > gzipBytesMax) {
			throw new Problem(`the worker may be ${kilobytes(gzipBytesMax)} compressed, not more`);
		}
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

async function main(args: string[]): Promise<void> {
	if (args.includes("--help") || args.includes("-h")) {
		console.log(help);
		return;
	}
	const ofOne = args.find((arg) => /^--(name|routes?|domains?)(=|$)/.test(arg));
	if (ofOne) throw new Problem(`${ofOne} would be for both workers: set it in wrangler.toml`);
	await checkSize();
	if (args.includes("--dry-run")) return;
	console.log("The schema comes first: DATABASE_URL=<the owner's> npm run migrate");
	for (const config of [archiveConfigOf(projectConfig), projectConfig]) {
		process.exitCode = await deploy(config, args);
		if (process.exitCode !== 0) return;
	}
}

function deploy(config: string, args: readonly string[]): Promise<number> {
	const wrangler = spawn(
		process.execPath,
		[wranglerProgram(), "deploy", `--config=${config}`, ...args],
		{ stdio: "inherit", env: { ...process.env, ...wranglerEnvironment } },
	);
	return new Promise((resolve, reject) => {
		wrangler.once("error", reject);
		wrangler.once("exit", (code) => resolve(code ?? 1));
	});
}

await runCommand(main);

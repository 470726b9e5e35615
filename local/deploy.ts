import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleWorker, sizeOf, wranglerEnvironment, wranglerProgram } from "./bundle.ts";
import { Problem, runCommand } from "./problem.ts";
import { projectConfig } from "./stack.ts";

const gzipBytesMax = 260 * 1024;
const help = `npm run deploy -- [--dry-run] [FLAGS OF WRANGLER DEPLOY]

Bundles the worker, checks its size and deploys it to Cloudflare.
  --dry-run   bundle and check only`;

function kilobytes(bytes: number): string {
	return `${(bytes / 1024).toFixed(1)} KB`;
}

/** What a visitor's region has to load before the first answer: it is kept small. */
async function checkSize(): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), "edgesign-deploy-"));
	try {
		const { raw, gzip } = await sizeOf(await bundleWorker(projectConfig, folder));
		console.log(`The worker is ${kilobytes(raw)}, compressed ${kilobytes(gzip)}.`);
		if (gzip > gzipBytesMax) {
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
	await checkSize();
	if (args.includes("--dry-run")) return;
	console.log("The schema comes first: DATABASE_URL=<the owner's> npm run migrate");
	const wrangler = spawn(
		process.execPath,
		[wranglerProgram(), "deploy", `--config=${projectConfig}`, ...args],
		{ stdio: "inherit", env: { ...process.env, ...wranglerEnvironment } },
	);
	process.exitCode = await new Promise<number>((resolve, reject) => {
		wrangler.once("error", reject);
		wrangler.once("exit", (code) => resolve(code ?? 1));
	});
}

await runCommand(main);

import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import {
	archiveConfigOf,
	requireWrangler,
	textElsewhere,
	wranglerProgram,
	wranglerVariables,
} from "./bundle.ts";
import { dataFolderPath } from "./connect.ts";
import { openDataFolder, storageRoot, wranglerDir, writePrivateFile } from "./folder.ts";
import { startGuard } from "./guard.ts";
import { endLeftovers } from "./leftovers.ts";
import { portFromEnvironment } from "./options.ts";
import { loopback, portsInARow } from "./ports.ts";
import { describe } from "./problem.ts";
import { endProcess, isAlive, requireOpenFiles, requireTemporaryFolder } from "./processes.ts";
import { firstTenant, startServices } from "./services.ts";
import { onEndRequest } from "./signals.ts";
import { projectConfig } from "./stack.ts";
import { createUndo, type Undo } from "./undo.ts";

const help = `npm run dev -- [--data DIR] [-- FLAGS OF WRANGLER DEV]

Runs "wrangler dev", which reloads the workers when their source changes, with the same services that
npm start starts (not beside it on one data folder). Cron jobs do not run. PORT (environment) is
its port, 8787 by default.`;

const stopSteps = [["SIGTERM", 5_000]] as const;

async function startDev(args: string[], undo: Undo): Promise<ChildProcess> {
	const { values, positionals } = parseArgs({
		args,
		options: { data: { type: "string" } },
		allowPositionals: true,
	});
	requireOpenFiles();
	requireTemporaryFolder();
	requireWrangler(dirname(projectConfig));
	const folder = openDataFolder(dataFolderPath(values.data));
	undo.add(folder.release);
	await endLeftovers(folder.path);
	const [port = 0] = await portsInARow(portFromEnvironment(1), 1);
	const urls = [`http://${loopback}:${port}`];
	const guard = startGuard();
	undo.add(guard.stop);
	const { vars } = await startServices({ folder, guard, undo, durable: true, urls });
	console.log(`The admin token of the tenant ${firstTenant} is in ${folder.tokenFile}.`);
	// A file, because arguments can be seen by everyone on the machine.
	const envFile = join(folder.path, "dev.env");
	undo.add(() => rm(envFile, { force: true }));
	const lines = Object.entries(vars).map(([name, value]) => `${name}='${value}'\n`);
	await writePrivateFile(envFile, lines.join(""));
	const archiveDir = join(folder.path, "dev-archive");
	undo.add(() => rm(archiveDir, { recursive: true, force: true }));
	const archiveConfig = await archiveConfigWith(lines.join(""), archiveDir);
	const configs = [projectConfig, archiveConfig].map((path) => `--config=${path}`);
	const flags = [...configs, `--ip=${loopback}`, `--port=${port}`];
	const state = `--persist-to=${storageRoot(folder)}`;
	const wrangler = spawn(
		process.execPath,
		[wranglerProgram(), "dev", ...flags, state, `--env-file=${envFile}`, ...positionals],
		{ stdio: "inherit", env: wranglerVariables(wranglerDir(folder)) },
	);
	const { pid } = wrangler;
	if (pid) {
		guard.watch(pid, "SIGTERM");
		undo.add(() => (isAlive(pid) ? endProcess(pid, stopSteps) : undefined));
	}
	return wrangler;
}

/** wrangler reads an env file for the first worker alone: for the second, what stands beside its configuration. */
async function archiveConfigWith(env: string, dir: string): Promise<string> {
	const config = archiveConfigOf(projectConfig);
	const main = join(dirname(config), "src", "archive.ts");
	await mkdir(dir, { recursive: true });
	await writePrivateFile(join(dir, ".dev.vars"), env);
	const path = join(dir, "wrangler.toml");
	await writeFile(path, await textElsewhere(config, { "src/archive.ts": main }));
	return path;
}

/** Ends with wrangler, or with Ctrl-C, which wrangler gets from the terminal too. */
async function main(args: string[]): Promise<number> {
	if (args.includes("--help") || args.includes("-h")) {
		console.log(help);
		return 0;
	}
	const undo = createUndo();
	const asked = Promise.withResolvers<number>();
	onEndRequest(() => {
		console.log("\nStopping ...");
		asked.resolve(0);
	});
	try {
		const wrangler = await startDev(args, undo);
		const ended = new Promise<number>((resolve, reject) => {
			wrangler.once("error", reject);
			wrangler.once("exit", (code) => resolve(code ?? 1));
		});
		return await Promise.race([ended, asked.promise]);
	} finally {
		await undo.run();
	}
}

try {
	process.exit(await main(process.argv.slice(2)));
} catch (error) {
	console.error(describe(error));
	process.exit(1);
}

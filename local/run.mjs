/**
 * The first step of every npm script: plain JavaScript for whatever Node >= 20 the machine has.
 * It installs what is missing, then runs the command with the Node that npm installed.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const node = join(modules, ".bin", process.platform === "win32" ? "node.cmd" : "node");

const commands = {
	start: ["local/start.ts"],
	dev: ["local/dev.ts"],
	test: ["node_modules/vitest/vitest.mjs", "run"],
	check: ["scripts/check.ts"],
	openapi: ["openapi/write.ts"],
	bench: ["bench/run.ts"],
	profile: ["profile/run.ts"],
	validate: ["validate/run.ts"],
	load: ["loadtests/run.ts"],
	chaos: ["test/chaos/run.ts"],
	deploy: ["local/deploy.ts"],
	migrate: ["local/migrate.ts"],
	rewrap: ["local/rewrap.ts"],
	tenant: ["local/tenant.ts"],
	"audit:verify": ["local/audit-verify.ts"],
	"db:advise": ["local/db-advise.ts"],
};

/** Whether every package of package-lock.json is there in its version, but for other platforms' ones. */
function isInstalled() {
	try {
		const read = (path) => JSON.parse(readFileSync(path, "utf8")).packages;
		const wanted = read(join(root, "package-lock.json"));
		const found = read(join(modules, ".package-lock.json"));
		const fits = ([path, { version, integrity, optional, devOptional }]) =>
			path === "" ||
			(found[path]
				? found[path].version === version && found[path].integrity === integrity
				: optional || devOptional);
		return existsSync(node) && Object.entries(wanted).every(fits);
	} catch {
		return false;
	}
}

function isAlive(pid) {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return error.code === "EPERM";
	}
}

/** One install at a time in this folder. Resolves to what lets the next one in. */
async function installLock() {
	const id = createHash("sha256").update(root).digest("hex").slice(0, 16);
	const file = join(tmpdir(), `edgesign-install-${id}`);
	for (;;) {
		try {
			writeFileSync(file, String(process.pid), { flag: "wx" });
			return () => rmSync(file, { force: true });
		} catch (error) {
			if (error.code !== "EEXIST") throw error;
		}
		await new Promise((resolve) => setTimeout(resolve, 250));
		try {
			if (!isAlive(Number(readFileSync(file, "utf8")))) rmSync(file);
		} catch {
			// The other has just ended, or another waiter removed its lock.
		}
	}
}

async function install() {
	const unlock = await installLock();
	try {
		if (isInstalled()) return;
		console.error("Installing what is missing (npm ci) ...");
		const start = Date.now();
		const npm = process.env.npm_execpath;
		const [program, first] = npm ? [process.execPath, [npm]] : ["npm", []];
		const flags = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error", "--include=dev"];
		const code = await run(program, [...first, "ci", ...flags], ["ignore", "ignore", "inherit"]);
		if (code !== 0) throw new Error("npm ci failed: see the lines above");
		if (!isInstalled()) {
			throw new Error("npm ci left something out: is ignore-scripts or omit set in an .npmrc?");
		}
		console.error(`Installed in ${Math.round((Date.now() - start) / 1000)} s.`);
	} finally {
		unlock();
	}
}

/** Runs a program, passes signals on, and resolves to its exit code. */
function run(program, args, stdio) {
	const path = `${join(modules, ".bin")}:${process.env.PATH}`;
	const env = {
		...process.env,
		PATH: path,
		EDGESIGN_PARENT: String(process.pid), // the child ends when this process is gone
		// What Node compiled once it need not compile again: half of what a short command takes.
		NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(modules, ".cache", "node"),
		WRANGLER_SEND_METRICS: "false",
		NO_UPDATE_NOTIFIER: "1",
	};
	return new Promise((resolve, reject) => {
		const child = spawn(program, args, { cwd: root, env, stdio });
		for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
			process.on(signal, () => child.kill(signal));
		}
		endWithNpm(() => child.kill("SIGTERM"));
		child.once("error", reject);
		child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
	});
}

/** When npm started us and is gone without a word, nobody is left to pass a signal on. */
function endWithNpm(end) {
	if (!process.env.npm_lifecycle_event) return;
	const started = ancestors();
	const timer = setInterval(() => {
		if (ancestors() === started) return;
		clearInterval(timer);
		end();
	}, 500);
	timer.unref();
}

/** Who started us, up to npm: there may be a shell between. */
function ancestors() {
	try {
		const stat = readFileSync(`/proc/${process.ppid}/stat`, "utf8");
		const [, name, grandparent] = /\((.*)\) \S (\d+)/s.exec(stat);
		return name.endsWith("sh") ? `${process.ppid} ${grandparent}` : `${process.ppid}`;
	} catch {
		return `${process.ppid}`; // no /proc: not Linux
	}
}

async function main([name, ...args]) {
	if (Number(process.versions.node.split(".")[0]) < 20) {
		throw new Error(`Node 20 or newer is needed, and this is ${process.version}`);
	}
	const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
	if (!command) throw new Error(`the commands are ${Object.keys(commands).join(", ")}`);
	if (!isInstalled()) await install();
	return run(node, [...command, ...args], "inherit");
}

main(process.argv.slice(2)).then(
	(code) => process.exit(code),
	(error) => {
		console.error(`edgesign: ${error.message}`);
		process.exit(1);
	},
);

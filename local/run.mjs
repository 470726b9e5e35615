/**
 * The first step of every npm script: plain JavaScript for whatever Node >= 20 the machine has.
 * It installs what is missing, then runs the command with the Node that npm installed.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
	existsSync,
	linkSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	statSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = join(root, "node_modules");
const node = join(modules, ".bin", process.platform === "win32" ? "node.cmd" : "node");

/** Those that started us, as they were when we began. */
const starters = ancestors();

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

/** Whoever holds the lock touches it so often; one that nobody has touched for so long is nobody's. */
const touchMs = 1_000;
const staleMs = 10_000;

/**
 * One install at a time in this folder. Resolves to what lets the next one in. A process id would not tell
 * whether the other is still there: it may be of another container, or ours once more.
 */
async function installLock() {
	const file = join(root, ".install-lock");
	for (let waited = false; ; waited = true) {
		try {
			writeFileSync(file, "", { flag: "wx" });
			break;
		} catch (error) {
			if (error.code !== "EEXIST") throw error;
		}
		if (isStale(file)) takeAway(file);
		else {
			if (!waited) console.error("Waiting for another install in this folder ...");
			await new Promise((resolve) => setTimeout(resolve, 250));
		}
	}
	const timer = setInterval(() => touch(file), touchMs);
	return () => {
		clearInterval(timer);
		rmSync(file, { force: true });
	};
}

function touch(file) {
	try {
		utimesSync(file, new Date(), new Date());
	} catch {
		// Somebody has removed it by hand.
	}
}

function isStale(file) {
	try {
		return Math.abs(Date.now() - statSync(file).mtimeMs) > staleMs;
	} catch {
		return false; // the other has just ended
	}
}

/** One of several waiters alone can rename it. Who has got the lock of a quicker one gives it back. */
function takeAway(file) {
	const taken = `${file}.${randomUUID()}`;
	try {
		renameSync(file, taken);
		if (!isStale(taken)) linkSync(taken, file);
	} catch {
		// Another waiter was quicker.
	}
	rmSync(taken, { force: true });
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
		if (askedToEnd) process.exit(130); // what is missing is installed the next time
		if (code !== 0) throw new Error("npm ci failed: see the lines above");
		if (!isInstalled()) {
			throw new Error("npm ci left something out: is ignore-scripts or omit set in an .npmrc?");
		}
		console.error(`Installed in ${Math.round((Date.now() - start) / 1000)} s.`);
	} finally {
		unlock();
	}
}

/** By a signal, as Ctrl-C sends one. */
let askedToEnd = false;

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
	delete env.NODE_PG_FORCE_NATIVE; // pg asks for a package that is not here, as soon as it is loaded
	return new Promise((resolve, reject) => {
		const child = spawn(program, args, { cwd: root, env, stdio });
		for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
			process.on(signal, () => {
				askedToEnd = true;
				child.kill(signal);
			});
		}
		endWithNpm(() => child.kill("SIGTERM"));
		child.once("error", reject);
		child.once("exit", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
	});
}

/** When npm started us and is gone without a word, nobody is left to pass a signal on. */
function endWithNpm(end) {
	if (!process.env.npm_lifecycle_event) return;
	const timer = setInterval(() => {
		if (idsOf(ancestors()) === idsOf(starters)) return;
		clearInterval(timer);
		end();
	}, 500);
	timer.unref();
}

/** Who started us, up to npm: there may be a shell between. */
function ancestors() {
	const parent = processOf(process.ppid);
	return parent.name.endsWith("sh") ? [parent, processOf(parent.parent)] : [parent];
}

function idsOf(processes) {
	return processes.map(({ pid }) => pid).join(" ");
}

/** What /proc tells of a process; where that is nothing, as on other systems than Linux, no name. */
function processOf(pid) {
	try {
		const [, name, parent] = /\((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"));
		return { pid, name, parent: Number(parent) };
	} catch {
		return { pid, name: "", parent: 0 };
	}
}

/**
 * Whether npm was gone before we could look: whoever took us over then is no program that runs scripts, and was
 * not started by one. It need not be process 1; and in a container that may be npm.
 */
function isLeftBehind() {
	if (!process.env.npm_lifecycle_event) return false;
	const isKnown = ({ pid, name }) => (name === "" ? pid > 1 : runsScripts(pid, name));
	return !starters.every(isKnown);
}

function runsScripts(pid, name) {
	const tried = (read) => {
		try {
			return read();
		} catch {
			return ""; // another user's
		}
	};
	const program = tried(() => readlinkSync(`/proc/${pid}/exe`))
		.split("/")
		.at(-1);
	if (/node|npm|npx|yarn|bun|deno/.test(`${program} ${name}`)) return true;
	return tried(() => readFileSync(`/proc/${pid}/environ`, "utf8")).includes("npm_lifecycle_event=");
}

async function main([name, ...args]) {
	if (Number(process.versions.node.split(".")[0]) < 20) {
		throw new Error(`Node 20 or newer is needed, and this is ${process.version}`);
	}
	if (isLeftBehind()) throw new Error("npm has ended, and with it what it started");
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

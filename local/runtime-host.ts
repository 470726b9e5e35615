/**
 * Holds miniflare and workerd in a process group of their own: Ctrl-C in the terminal does not
 * reach them, and one signal to the group ends them together.
 * Arguments: wrangler.toml, the folder to bundle into, the storage folder; `bundled` where the service is in
 * that folder already. Secrets come as a message.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readyWorkers } from "./kept.ts";
import { inOneLine, problemOf } from "./problem.ts";
import type { Runtime } from "./runtime.ts";
import type { FromRuntime, ToRuntime } from "./runtime-messages.ts";

const [configPath = "", bundleDir = "", storageDir = "", state = ""] = process.argv.slice(2);

function send(message: FromRuntime): void {
	if (process.connected) process.send?.(message);
}

/**
 * Kills the group when this process is gone, however it went: its standard input is a pipe that only this
 * process holds. A shell, for what kills whatever is called node, the reaper too. Being of the group itself, it
 * keeps the group's id from another's use.
 */
const leash = spawn("/bin/sh", ["-c", 'read -r _; kill -9 "-$1"', "leash", String(process.pid)], {
	cwd: "/",
	stdio: ["pipe", "ignore", "ignore"],
});
leash.on("error", () => {}); // the reaper does it, and the next start

// Bundling is another process: it runs while this one loads its libraries.
const bundling = readyWorkers(configPath, bundleDir, state === "bundled");
bundling.catch(() => {}); // told when the runtime is to start
const loading = import("./runtime.ts");
let runtime: Runtime | undefined;

async function start({ ports, vars, inspectorPort }: ToRuntime & { type: "start" }): Promise<void> {
	const workers = await bundling;
	const { startRuntime } = await loading;
	runtime = await startRuntime({
		workers,
		storageDir,
		ports,
		vars,
		inspectorPort,
		onLog: (log) => send({ type: "log", log }),
		onRestart: () => send({ type: "restarted" }),
		onEnd: () => process.exit(1), // which the other side tells
	});
	send({ type: "started", urls: runtime.urls, crons: runtime.crons });
}

async function scheduled({
	id,
	cron,
	at,
	worker,
}: ToRuntime & { type: "scheduled" }): Promise<void> {
	try {
		await runtime?.scheduled(cron, at, worker);
		send({ type: "scheduled", id, error: null });
	} catch (error) {
		send({ type: "scheduled", id, error: inOneLine(error) });
	}
}

async function stop(): Promise<void> {
	await runtime?.stop();
	if (leash.kill("SIGKILL")) await once(leash, "exit");
	process.exit(0);
}

process.on("message", async (message: ToRuntime) => {
	try {
		if (message.type === "start") await start(message);
		else if (message.type === "scheduled") await scheduled(message);
		else await stop();
	} catch (error) {
		const problem = problemOf(error);
		const line = error instanceof Error ? (error.stack ?? "") : String(error);
		send({ type: "problem", forPerson: problem !== undefined, line: problem?.message ?? line });
	}
});
process.on("disconnect", stop);

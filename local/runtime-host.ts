/**
 * Holds miniflare and workerd in a process group of their own: Ctrl-C in the terminal does not
 * reach them, and one signal to the group ends them together.
 * Arguments: wrangler.toml, the folder to bundle into, the storage folder; `bundled` where the service is in
 * that folder already. Secrets come as a message.
 */
import { readyWorkers } from "./kept.ts";
import { inOneLine, Problem } from "./problem.ts";
import type { Runtime } from "./runtime.ts";
import type { FromRuntime, ToRuntime } from "./runtime-messages.ts";

const [configPath = "", bundleDir = "", storageDir = "", state = ""] = process.argv.slice(2);

function send(message: FromRuntime): void {
	if (process.connected) process.send?.(message);
}

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
	process.exit(0);
}

process.on("message", async (message: ToRuntime) => {
	try {
		if (message.type === "start") await start(message);
		else if (message.type === "scheduled") await scheduled(message);
		else await stop();
	} catch (error) {
		const forPerson = error instanceof Problem;
		const line = forPerson || !(error instanceof Error) ? String(error) : (error.stack ?? "");
		send({ type: "problem", forPerson, line: forPerson ? error.message : line });
	}
});
process.on("disconnect", stop);

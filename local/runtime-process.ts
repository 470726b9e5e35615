import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { V4WorkerdStructuredLog } from "miniflare";
import { wranglerVariables } from "./bundle.ts";
import { Problem } from "./problem.ts";
import { endProcess, isAlive, signalIfAlive, waitUntilGone } from "./processes.ts";
import type { Runtime } from "./runtime.ts";
import type { FromRuntime, ToRuntime } from "./runtime-messages.ts";

const stopTimeoutMs = 5_000;

export interface RuntimeProcessOptions {
	readonly configPath: string;
	readonly bundleDir: string;
	readonly storageDir: string;
	/** For what wrangler keeps, where the home folder can not be written. */
	readonly wranglerDir?: string;
	/** The service is in `bundleDir` already, and is run as it is. */
	readonly bundled?: boolean;
	/** Told the process id, which is also its group's. */
	readonly onSpawn?: (pid: number) => void;
	readonly onLog?: ((log: V4WorkerdStructuredLog) => void) | undefined;
	readonly onRestart?: (() => void) | undefined;
}

export interface RuntimeProcess {
	/** Serves on these ports of 127.0.0.1. Bundling has gone on since the process was made. */
	start(options: {
		readonly ports: readonly number[];
		readonly vars: Readonly<Record<string, string>>;
		readonly inspectorPort?: number | undefined;
	}): Promise<Pick<Runtime, "urls" | "crons">>;
	readonly scheduled: Runtime["scheduled"];
	/** Settles, with a line for a person, when the process ends without being told to. */
	readonly died: Promise<string>;
	stop(): Promise<void>;
}

type Waiting = (error: Error | null) => void;

/** Makes the process that holds the runtime (runtime-host.ts) and lets it begin to bundle. */
export function prepareRuntime(options: RuntimeProcessOptions): RuntimeProcess {
	const { configPath, bundleDir, storageDir, bundled = false } = options;
	const child = fork(
		join(import.meta.dirname, "runtime-host.ts"),
		[configPath, bundleDir, storageDir, ...(bundled ? ["bundled"] : [])],
		{
			detached: true,
			execArgv: [],
			stdio: ["ignore", "ignore", "inherit", "ipc"],
			env: {
				...wranglerVariables(options.wranglerDir),
				WRANGLER_LOG: "error",
				CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: "false", // the variables come as a message
			},
		},
	);
	if (child.pid) options.onSpawn?.(child.pid);
	const runs = new Map<number, Waiting>();
	let lastRun = 0;
	let started = false;
	let stopping = false;
	const { promise: died, resolve: onDeath } = Promise.withResolvers<string>();

	child.on("message", (message: FromRuntime) => {
		if (message.type === "log") options.onLog?.(message.log);
		if (message.type === "restarted") options.onRestart?.();
		if (message.type === "scheduled") {
			runs.get(message.id)?.(message.error === null ? null : new Error(message.error));
			runs.delete(message.id);
		}
	});
	child.once("exit", (code, signal) => {
		for (const settle of runs.values()) settle(runtimeHasEnded());
		runs.clear();
		if (stopping) return;
		if (child.pid) signalIfAlive(-child.pid, "SIGKILL"); // workerd, which it left behind
		onDeath(`the worker's runtime ended unexpectedly (${signal ?? `exit code ${code}`})`);
	});

	return {
		died,
		async start(startOptions) {
			started = true;
			const answer = answerToStart(child);
			tell(child, { type: "start", ...startOptions });
			return answer;
		},
		scheduled(cron, at, worker) {
			const id = ++lastRun;
			return new Promise((resolve, reject) => {
				if (hasEnded(child)) throw runtimeHasEnded();
				runs.set(id, (error) => (error ? reject(error) : resolve()));
				tell(child, { type: "scheduled", id, cron, at, worker });
			});
		},
		async stop() {
			stopping = true;
			const { pid } = child;
			if (!pid || !isAlive(pid)) return;
			if (started) {
				tell(child, { type: "stop" });
				await waitUntilGone(pid, stopTimeoutMs);
			}
			signalIfAlive(-pid, "SIGKILL");
			await endProcess(pid, []);
		},
	};
}

function tell(child: ChildProcess, message: ToRuntime): void {
	if (child.connected) child.send(message, () => {}); // one that has ended is told by its exit
}

function hasEnded(child: ChildProcess): boolean {
	return child.exitCode !== null || child.signalCode !== null;
}

function runtimeHasEnded(): Error {
	return new Error("the runtime has ended");
}

type Started = FromRuntime & { type: "started" };

function answerToStart(child: ChildProcess): Promise<Started> {
	return new Promise((resolve, reject) => {
		const onMessage = (message: FromRuntime) => {
			if (message.type === "started") settle(() => resolve(message));
			if (message.type !== "problem") return;
			settle(() => reject(message.forPerson ? new Problem(message.line) : new Error(message.line)));
		};
		const onExit = () => settle(() => reject(new Problem("the worker's runtime did not start")));
		const settle = (answer: () => void) => {
			child.off("message", onMessage);
			child.off("exit", onExit);
			answer();
		};
		child.on("message", onMessage);
		child.on("exit", onExit);
		if (hasEnded(child)) onExit();
	});
}

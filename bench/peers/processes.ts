import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { freePort, loopback } from "../../local/ports.ts";
import { findRedisServer } from "../../local/redis-server.ts";
import type { Ground, Server } from "../workers.ts";
import type { PeerOptions, PeerReady } from "./messages.ts";

const startTimeoutMs = 20_000;

/** Starts fastify.ts in a process of its own. */
export async function startFastify(ground: Ground, options: PeerOptions): Promise<Server> {
	const child = fork(join(import.meta.dirname, "fastify.ts"), {
		detached: true,
		execArgv: [],
		stdio: ["ignore", "ignore", "inherit", "ipc"],
		env: { ...process.env, NODE_ENV: "production" },
	});
	endWith(ground, child);
	child.send(options);
	const signal = AbortSignal.timeout(startTimeoutMs);
	const [{ port }] = (await once(child, "message", { signal })) as [PeerReady];
	return { port, pid: () => child.pid };
}

/** A Redis that keeps nothing on the disk; null where the machine has none. */
export async function startRedis(ground: Ground): Promise<string | null> {
	const program = findRedisServer();
	if (program === undefined) return null;
	const port = await freePort();
	const flags = ["--bind", loopback, "--port", String(port), "--save", "", "--appendonly", "no"];
	const child = spawn(program, flags, {
		detached: true,
		stdio: "ignore",
		cwd: ground.folder.path,
	});
	endWith(ground, child);
	return `redis://${loopback}:${port}`;
}

function endWith({ guard, undo }: Ground, child: ChildProcess): void {
	if (child.pid) guard.watch(child.pid, "SIGKILL");
	undo.add(async () => {
		if (child.exitCode !== null || child.signalCode !== null) return;
		child.kill("SIGKILL");
		await once(child, "exit");
	});
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startGuard } from "../../local/guard.ts";
import { type RunningPostgres, startPostgres } from "../../local/postgres.ts";
import { type Stack, startStack } from "../../local/stack.ts";
import { processWith } from "../support/node/processes.ts";
import type { Kill, Victim } from "./schedule.ts";

const upTimeoutMs = 30_000;
const pollMs = 50;

/** A stack whose parts can be killed while it serves. */
export interface Victims {
	readonly stack: Stack;
	/** Those that run as processes of their own here. */
	readonly names: readonly Victim[];
	/** SIGKILL, once it is up again from the last time. It comes back by itself, or is brought back. */
	kill(kill: Kill): Promise<void>;
	/** Resolves when every part is up. */
	allUp(): Promise<void>;
	stop(): Promise<void>;
}

/**
 * The stack starts workerd and Redis again by itself. When PostgreSQL ends it says so, and `npm start`
 * ends too; here it is started again on its port and its files, as a supervisor would.
 */
export async function startVictims(dataDir: string): Promise<Victims> {
	process.env.EDGESIGN_TEST_TAG = dataDir; // workerd's command line does not name the folder
	let restarts = 0;
	const onEvent = (line: string) => {
		if (line.startsWith("workerd ended")) restarts++;
	};
	// Durable: without it PostgreSQL itself forgets what it had just answered.
	const durable = true;
	const stack = await startStack({
		dataDir,
		port: 0,
		edges: 2,
		durable,
		spareKeys: false,
		onEvent,
	});
	const guard = startGuard();
	const port = Number(new URL(stack.databaseUrl).port);
	let postgres: RunningPostgres | undefined;
	const up = new Map<Victim, Promise<void>>();

	const revive: Readonly<Record<Victim, (kill: Kill) => Promise<void>>> = {
		async workerd() {
			const before = restarts;
			process.kill(processWith(dataDir, "workerd serve"), "SIGKILL");
			await until(() => restarts > before);
			await until(() => answers(stack));
		},
		async postgres({ downMs }) {
			const file = join(dataDir, "postgres", "postmaster.pid");
			process.kill(Number(readFileSync(file, "utf8").split("\n")[0]), "SIGKILL");
			await sleep(downMs);
			const onSpawn = (pid: number) => guard.watch(pid, "SIGINT");
			postgres = await startPostgres({ dataDir, port, durable: true, onSpawn });
		},
		async redis() {
			const pid = processWith(dataDir, "redis-server");
			process.kill(pid, "SIGKILL");
			await until(() => isAnother(dataDir, pid));
		},
	};

	return {
		stack,
		names:
			stack.redisEngine === "redis-server"
				? ["workerd", "postgres", "redis"]
				: ["workerd", "postgres"],
		async kill(kill) {
			await up.get(kill.victim);
			const revived = revive[kill.victim](kill);
			revived.catch(() => {}); // told by the next one who waits for it
			up.set(kill.victim, revived);
		},
		async allUp() {
			await Promise.all(up.values());
		},
		async stop() {
			await Promise.allSettled(up.values());
			await stack.stop();
			await postgres?.stop();
			await guard.stop();
		},
	};
}

async function answers({ urls }: Stack): Promise<boolean> {
	const asked = urls.map((url) => fetch(`${url}/healthz`, { signal: AbortSignal.timeout(1_000) }));
	const settled = await Promise.allSettled(asked);
	return settled.every(({ status }) => status === "fulfilled");
}

function isAnother(dataDir: string, pid: number): boolean {
	try {
		return processWith(dataDir, "redis-server") !== pid;
	} catch {
		return false; // none yet
	}
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
	const end = performance.now() + upTimeoutMs;
	while (!(await holds())) {
		if (performance.now() > end) throw new Error("what was killed does not come back");
		await sleep(pollMs);
	}
}

import { startGuard } from "../local/guard.ts";
import { startPostgres } from "../local/postgres.ts";
import { Problem } from "../local/problem.ts";
import { signalIfAlive, waitUntilGone } from "../local/processes.ts";
import { limits } from "./limits.ts";
import { ownProcesses, postgresPid, withChildren } from "./processes.ts";
import type { Target } from "./target.ts";

export const faultNames = [
	"postgres-hangs",
	"postgres-crashes",
	"redis-hangs",
	"redis-crashes",
] as const;
type FaultName = (typeof faultNames)[number];

/** A way in which a part of the stack can be away. */
export interface Fault {
	readonly name: FaultName;
	take(): void;
	/** Resolves when the part is there again. */
	giveBack(): Promise<void>;
}

/** PostgreSQL and Redis, each as if it hung and as if it had crashed. Redis only where it is a process of its own. */
export async function faultsOf(target: Target): Promise<Fault[]> {
	const { stack } = target;
	if (!stack) throw new Problem("only a stack of its own can have parts taken away");
	const dataDir = stack.folder.path;
	const faults = [
		pause("postgres-hangs", () => withChildren(postgresPid(dataDir))),
		crashOfPostgres(target, dataDir, Number(new URL(stack.databaseUrl).port)),
	];
	if (stack.redisEngine !== "redis-server") return faults;
	const redis = () => ownProcesses("redis-server");
	return [...faults, pause("redis-hangs", redis), crashOfRedis(redis)];
}

/** Processes that are stopped, and go on where they were. */
function pause(name: FaultName, pids: () => readonly number[]): Fault {
	let stopped: readonly number[] = [];
	const resume = () => {
		for (const pid of stopped) signalIfAlive(pid, "SIGCONT");
		stopped = [];
	};
	return {
		name,
		take() {
			stopped = pids();
			process.once("exit", resume); // one that is stopped can not end either
			for (const pid of stopped) process.kill(pid, "SIGSTOP");
		},
		async giveBack() {
			process.off("exit", resume);
			resume();
		},
	};
}

/** `npm start` would end with its PostgreSQL; here it is started again on its port and its files. */
function crashOfPostgres(target: Target, dataDir: string, port: number): Fault {
	let killed = 0;
	return {
		name: "postgres-crashes",
		take() {
			killed = postgresPid(dataDir);
			process.kill(killed, "SIGKILL");
		},
		async giveBack() {
			await waitUntilGone(killed, limits.apiTimeoutMs);
			const guard = startGuard();
			const onSpawn = (pid: number) => guard.watch(pid, "SIGINT");
			const postgres = await startPostgres({ dataDir, port, durable: true, onSpawn });
			target.afterStop(async () => {
				await postgres.stop();
				await guard.stop();
			});
		},
	};
}

/** The stack starts it again by itself; it is away until then. */
function crashOfRedis(pids: () => readonly number[]): Fault {
	return {
		name: "redis-crashes",
		take() {
			for (const pid of pids()) process.kill(pid, "SIGKILL");
		},
		giveBack: async () => {},
	};
}

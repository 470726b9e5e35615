import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, loopback } from "./ports.ts";
import { Problem } from "./problem.ts";
import { endProcess, isAlive } from "./processes.ts";
import { connectEngine } from "./redis-client.ts";
import type { RedisEngine } from "./redis-engine.ts";

const startTimeoutMs = 10_000;
const startAttempts = 5;
const restartPauseMs = 500;
const stopSteps = [["SIGTERM", 3_000]] as const;
const logCharacters = 2_000;

export interface RunningRedis {
	readonly engine: RedisEngine;
	/** Of the server that runs now: it is started again if it ends unasked. */
	readonly pid: number;
	stop(): Promise<void>;
}

export interface RedisServerOptions {
	readonly program: string;
	/** The server's working folder, which exists. Nothing is written there. */
	readonly dataDir: string;
	/** Told the process id of each server that is started. */
	readonly onSpawn?: ((pid: number) => void) | undefined;
}

/** The path of `redis-server`, if the machine has it. */
export function findRedisServer(path = process.env["PATH"] ?? ""): string | undefined {
	const candidates = path.split(delimiter).map((folder) => join(folder, "redis-server"));
	return candidates.find((program) => {
		try {
			accessSync(program, constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

/** Starts a Redis that only keeps a cache: in memory, bounded, on 127.0.0.1, with a password. */
export async function startRedisServer(options: RedisServerOptions): Promise<RunningRedis> {
	for (let attempt = 1; ; attempt++) {
		const port = await freePort();
		const password = randomBytes(24).toString("hex");
		const server = supervise(options, configuration(port, password, options.dataDir));
		const target = { host: loopback, port, password };
		const ended = server.endedEarly.then((log) => {
			throw new Problem(`redis-server does not start (${log.trim().split("\n").at(-1) ?? ""})`);
		});
		try {
			const engine = await Promise.race([connectEngine(target, startTimeoutMs), ended]);
			server.keepAlive();
			return {
				engine,
				get pid() {
					return server.pid;
				},
				async stop() {
					await engine.close();
					await server.stop();
				},
			};
		} catch (error) {
			await server.stop();
			// Another program may have taken the port in the moment between.
			if (attempt === startAttempts) throw error;
		}
	}
}

/** It is read from stdin: arguments can be seen by everyone on the machine. */
function configuration(port: number, password: string, dataDir: string): string {
	return [
		`bind ${loopback}`,
		`port ${port}`,
		`requirepass ${password}`,
		`dir ${JSON.stringify(dataDir)}`,
		'save ""',
		"appendonly no",
		"maxmemory 256mb",
		"maxmemory-policy allkeys-lru",
		"databases 1",
		"daemonize no",
		"loglevel warning",
		"",
	].join("\n");
}

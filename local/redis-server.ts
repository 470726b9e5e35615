import { randomBytes } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { freePort, loopback } from "./ports.ts";
import { inOneLine, Problem } from "./problem.ts";
import { endProcess, isAlive, spawnTold } from "./processes.ts";
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
export function findRedisServer(path = process.env.PATH ?? ""): string | undefined {
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
		const server = supervise(options, configuration(port, password));
		const giveUp = AbortSignal.any([AbortSignal.timeout(startTimeoutMs), server.ended]);
		try {
			const engine = await connectEngine({ host: loopback, port, password }, giveUp);
			server.restartWhenItEnds();
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
		} catch {
			const passing = server.ended.aborted && attempt < startAttempts;
			await server.stop();
			// Another program may have taken the port in the moment between.
			if (!passing) throw new Problem(`redis-server does not start: ${server.lastWords()}`);
		}
	}
}

/** It is read from stdin: arguments can be seen by everyone on the machine. */
function configuration(port: number, password: string): string {
	return [
		`bind ${loopback}`,
		`port ${port}`,
		`requirepass ${password}`,
		"dir .", // where it is started: its configuration has no way to write every name
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

/** Runs the server, and runs it again when it ends after `restartWhenItEnds`. */
function supervise({ program, dataDir, onSpawn }: RedisServerOptions, config: string) {
	const ended = new AbortController();
	let log = "";
	let restart = false;
	let timer: NodeJS.Timeout | undefined;
	let pid = 0;
	launch();

	function launch(): void {
		const env = { PATH: process.env.PATH, LC_ALL: "C" };
		const how = { cwd: dataDir, env, output: ["pipe", "pipe"] as const };
		const server = spawnTold(program, ["-"], how, onSpawn);
		pid = server.pid ?? 0;
		server.stdin.end(config);
		// On the second the shell says why it can not be started.
		for (const stream of [server.stdout, server.stderr]) {
			stream?.on("data", (text) => {
				log = `${log}${text}`.slice(-logCharacters);
			});
		}
		server.once("error", (error) => {
			log = inOneLine(error);
			ended.abort();
		});
		server.once("close", () => {
			if (restart) timer = setTimeout(launch, restartPauseMs);
			else ended.abort();
		});
	}

	return {
		/** Aborts when the server ends and is not to be started again. */
		ended: ended.signal,
		get pid() {
			return pid;
		},
		lastWords: () => log.trim().split("\n").at(-1)?.trim() || "it said nothing",
		restartWhenItEnds() {
			restart = true;
		},
		async stop() {
			restart = false;
			clearTimeout(timer);
			if (pid && isAlive(pid)) await endProcess(pid, stopSteps);
		},
	};
}

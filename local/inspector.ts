/**
 * A client of workerd's inspector, which speaks the Chrome DevTools Protocol
 * (https://chromedevtools.github.io/devtools-protocol/v8/): the heap and the CPU profile of an isolate,
 * seen from outside. The inspector is there only where the stack was given an `inspectorPort`, as
 * benchmarks and profiles do and `npm start` never does: whoever reaches it reads every key.
 */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import { loopback } from "./ports.ts";

const connectTimeoutMs = 5_000;
const answerTimeoutMs = 10_000;
/** A collection waits until it is the isolate's turn, and looks at the whole heap. */
const collectTimeoutMs = 30_000;
const wakePollMs = 20;
/** A profile is one message: some megabytes for a minute. */
const profileTimeoutMs = 60_000;
const snapshotTimeoutMs = 120_000;
const messageBytesMax = 512 * 1024 * 1024;

/** In bytes: https://chromedevtools.github.io/devtools-protocol/v8/Runtime/#method-getHeapUsage. */
export interface HeapUsage {
	/** What JavaScript's objects take, garbage that was not collected yet included. */
	readonly usedSize: number;
	/** What V8 has taken from the system for them. */
	readonly totalSize: number;
	/** The runtime's own objects that are kept alive by JavaScript's. */
	readonly embedderHeapUsedSize: number;
	/** The contents of ArrayBuffers, and WebAssembly's memory. */
	readonly backingStorageSize: number;
}

/** A function at its place in the bundle, counted from 0; -1 for what is not in it. */
export interface CallFrame {
	readonly functionName: string;
	readonly url: string;
	readonly lineNumber: number;
	readonly columnNumber: number;
}

export interface ProfileNode {
	readonly id: number;
	readonly callFrame: CallFrame;
	readonly hitCount?: number;
	readonly children?: readonly number[];
}

/** As a `.cpuprofile` file has it: https://chromedevtools.github.io/devtools-protocol/v8/Profiler/#type-Profile. */
export interface CpuProfile {
	readonly nodes: readonly ProfileNode[];
	/** Microseconds of a clock that began somewhere. */
	readonly startTime: number;
	readonly endTime: number;
	/** The node at the top of the stack at each sample. */
	readonly samples: readonly number[];
	/** Microseconds since the sample before. */
	readonly timeDeltas: readonly number[];
}

export interface Inspector {
	/** Of the isolate: all requests and Durable Objects of one worker at one location. */
	heapUsage(): Promise<HeapUsage>;
	/**
	 * Resolves when everything unreachable is gone.
	 * @param wake a request to the isolate: one at rest collects only when its next one comes
	 */
	collectGarbage(wake: () => Promise<unknown>): Promise<void>;
	/** Writes a `.heapsnapshot`, which browsers' developer tools open. The isolate stands still meanwhile. */
	takeHeapSnapshot(path: string): Promise<void>;
	startProfile(samplingIntervalUs: number): Promise<void>;
	stopProfile(): Promise<CpuProfile>;
	close(): void;
}

/**
 * Connects to the isolate of a worker.
 * @param worker its name in wrangler.toml, the service's own by default; further locations are `NAME-1`, ...
 * @throws when the inspector is not there, or has no such worker
 */
export async function openInspector(port: number, worker = "edgesign"): Promise<Inspector> {
	const target = await findTarget(port, `core:user:${worker}`);
	const channel = await openChannel(target);
	await channel.ask("HeapProfiler.enable", {}, answerTimeoutMs);
	return {
		heapUsage: () => channel.ask<HeapUsage>("Runtime.getHeapUsage", {}, answerTimeoutMs),
		collectGarbage: (wake) => collectGarbage(channel, wake),
		takeHeapSnapshot: (path) => takeHeapSnapshot(channel, path),
		async startProfile(samplingIntervalUs) {
			await channel.ask("Profiler.enable", {}, answerTimeoutMs);
			const interval = { interval: samplingIntervalUs };
			await channel.ask("Profiler.setSamplingInterval", interval, answerTimeoutMs);
			await channel.ask("Profiler.start", {}, answerTimeoutMs);
		},
		async stopProfile() {
			const answer = await channel.ask<{ profile: CpuProfile }>(
				"Profiler.stop",
				{},
				profileTimeoutMs,
			);
			return answer.profile;
		},
		close: channel.close,
	};
}

interface Target {
	readonly id: string;
	readonly webSocketDebuggerUrl: string;
}

async function findTarget(port: number, id: string): Promise<Target> {
	const targets = await listTargets(port);
	const found = targets.find((target) => target.id === id);
	if (found) return found;
	const known = targets.map((target) => target.id).join(", ");
	throw new Error(`the inspector on port ${port} has no ${id}, it has ${known}`);
}

async function listTargets(port: number): Promise<Target[]> {
	const signal = AbortSignal.timeout(connectTimeoutMs);
	const response = await fetch(`http://${loopback}:${port}/json/list`, { signal });
	return (await response.json()) as Target[];
}

interface Message {
	readonly id?: number;
	readonly method?: string;
	readonly params?: unknown;
	readonly result?: unknown;
	readonly error?: { readonly message: string };
}

interface Channel {
	ask<Answer>(method: string, params: object, timeoutMs: number): Promise<Answer>;
	/** One listener an event; undefined to take it away. */
	on(event: string, listener: ((params: unknown) => void) | undefined): void;
	readonly close: () => void;
}

interface Waiting {
	readonly resolve: (message: Message) => void;
	readonly reject: (error: Error) => void;
}

async function openChannel({ webSocketDebuggerUrl, id: target }: Target): Promise<Channel> {
	const socket = new WebSocket(webSocketDebuggerUrl, {
		handshakeTimeout: connectTimeoutMs,
		maxPayload: messageBytesMax,
		perMessageDeflate: false,
	});
	await once(socket, "open");
	const waiting = new Map<number, Waiting>();
	const listeners = new Map<string, (params: unknown) => void>();
	let last = 0;
	const fail = (error: Error) => {
		for (const { reject } of waiting.values()) reject(error);
		waiting.clear();
	};
	socket.on("message", (data) => {
		const message = JSON.parse(String(data)) as Message;
		if (message.id !== undefined) {
			waiting.get(message.id)?.resolve(message);
			waiting.delete(message.id);
		} else if (message.method) listeners.get(message.method)?.(message.params);
	});
	socket.on("error", fail);
	socket.on("close", () => fail(new Error(`the inspector of ${target} has closed`)));
	return {
		async ask<Answer>(method: string, params: object, timeoutMs: number) {
			const id = ++last;
			const answer = new Promise<Message>((resolve, reject) =>
				waiting.set(id, { resolve, reject }),
			);
			const timer = setTimeout(() => {
				waiting.get(id)?.reject(new Error(`${method}: no answer of ${target} in ${timeoutMs} ms`));
				waiting.delete(id);
			}, timeoutMs);
			try {
				socket.send(JSON.stringify({ id, method, params }));
				const { error, result } = await answer;
				if (error) throw new Error(`${method}: ${error.message}`);
				return result as Answer;
			} finally {
				clearTimeout(timer);
			}
		},
		on(event, listener) {
			if (listener) listeners.set(event, listener);
			else listeners.delete(event);
		},
		close: () => socket.terminate(),
	};
}

async function collectGarbage(channel: Channel, wake: () => Promise<unknown>): Promise<void> {
	let collected = false;
	const collecting = channel
		.ask("HeapProfiler.collectGarbage", {}, collectTimeoutMs)
		.finally(() => {
			collected = true;
		});
	collecting.catch(() => {}); // told below, when the last request has been answered
	while (!collected) {
		await wake();
		await sleep(wakePollMs);
	}
	await collecting;
}

async function takeHeapSnapshot(channel: Channel, path: string): Promise<void> {
	const file = createWriteStream(path);
	channel.on("HeapProfiler.addHeapSnapshotChunk", (params) => {
		file.write((params as { chunk: string }).chunk);
	});
	try {
		const quiet = { reportProgress: false };
		await channel.ask("HeapProfiler.takeHeapSnapshot", quiet, snapshotTimeoutMs);
	} finally {
		channel.on("HeapProfiler.addHeapSnapshotChunk", undefined);
		file.end();
		await finished(file);
	}
}

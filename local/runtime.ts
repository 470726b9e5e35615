import { dirname } from "node:path";
import {
	convertV4MiniflareOptions,
	Miniflare,
	NoOpLog,
	type V4WorkerdStructuredLog,
	type V4WorkerOptions,
} from "miniflare";
import type { ReadyWorker } from "./kept.ts";
import { loopback } from "./ports.ts";
import { codeOf } from "./problem.ts";
import { allSettledOrThrow } from "./undo.ts";

export interface RuntimeOptions {
	/**
	 * The service's worker, which is there once for each location, and those that it binds to. Each one's
	 * configuration has its date, flags, variables, Durable Objects, buckets, queues and assets.
	 */
	readonly workers: readonly ReadyWorker[];
	/** Storage of Durable Objects, buckets and queues. */
	readonly storageDir: string;
	/** One location for each port of 127.0.0.1; all have the same Durable Objects. */
	readonly ports: readonly number[];
	/** Secrets and addresses, beside the variables of the configuration. */
	readonly vars: Readonly<Record<string, string>>;
	readonly inspectorPort?: number | undefined;
	/** Told what the worker writes to its console. */
	readonly onLog?: (log: V4WorkerdStructuredLog) => void;
	/** Told that workerd ended by itself and runs again, on the same ports and storage. */
	readonly onRestart?: () => void;
	/** Told that it ended and could not be started again. */
	readonly onEnd?: () => void;
}

/** One try each, when workerd ended once more while it was being started again. */
const revivalsMost = 5;

export interface Runtime {
	readonly urls: readonly string[];
	/** The cron lines of each worker. */
	readonly crons: readonly { readonly worker: string; readonly lines: readonly string[] }[];
	/** Runs a worker's scheduled handler once, or every worker's, at the first location. @throws when one failed */
	scheduled(cron: string, scheduledTime: number, worker?: string): Promise<void>;
	stop(): Promise<void>;
}

/** Starts the bundled workers in workerd: the service's own once for each location, with a memory of its own. */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
	const crons = options.workers.map(({ config }) => ({ worker: config.name, lines: config.crons }));
	let isStopping = false;
	/** Whether a start is under way, whose failure is its own to see to. */
	let isStarting = true;
	let miniflare = await served(options, () => void revive());
	isStarting = false;

	/** Miniflare starts workerd again when it ends, and leaves it at that if the new one ends before it is up. */
	async function revive(): Promise<void> {
		if (isStarting) return;
		isStarting = true;
		await miniflare.dispose().catch(() => {});
		for (let tries = 0; tries < revivalsMost && !isStopping; tries++) {
			const next = await served(options, () => void revive()).catch(() => null);
			if (!next) continue;
			miniflare = next;
			isStarting = false;
			if (isStopping) await next.dispose();
			else options.onRestart?.();
			return;
		}
		if (!isStopping) options.onEnd?.();
	}

	return {
		urls: options.ports.map((port) => `http://${loopback}:${port}`),
		crons,
		async scheduled(cron, scheduledTime, worker) {
			const names = worker === undefined ? crons.map((known) => known.worker) : [worker];
			const runs = names.map(async (name) => {
				// Asked for anew each time: after workerd was restarted an old handle is dead.
				const one = await miniflare.getWorker(name);
				const { outcome } = await one.scheduled({ cron, scheduledTime: new Date(scheduledTime) });
				if (outcome !== "ok") throw new Error(`the scheduled handler ended with ${outcome}`);
			});
			await allSettledOrThrow(runs);
		},
		stop() {
			isStopping = true;
			return miniflare.dispose();
		},
	};
}

/** @param onFailure called when workerd ended and its next start failed; nothing is served any more then */
async function served(options: RuntimeOptions, onFailure: () => void): Promise<Miniflare> {
	const miniflare = new Miniflare(
		convertV4MiniflareOptions({
			host: loopback,
			port: 0,
			cf: false,
			log: new FailureLog(onFailure),
			telemetry: { enabled: false },
			resourcePersistencePath: options.storageDir,
			handleStructuredLogs: options.onLog ?? (() => {}),
			unsafeHandleRuntimeRestart: () => options.onRestart?.(),
			...(options.inspectorPort === undefined ? {} : { inspectorPort: options.inspectorPort }),
			workers: workersOf(options),
		}),
	);
	try {
		await miniflare.ready;
	} catch (error) {
		await miniflare.dispose().catch(() => {});
		throw error;
	}
	return miniflare;
}

/** Miniflare says it in its log alone. */
class FailureLog extends NoOpLog {
	readonly #onFailure: () => void;

	constructor(onFailure: () => void) {
		super();
		this.#onFailure = onFailure;
	}

	override error(error: Error): void {
		if (codeOf(error) === "ERR_RUNTIME_FAILURE") this.#onFailure();
	}
}

const assetsWorker = "static-assets";

type StartOptions = Omit<RuntimeOptions, "workers">;

function workersOf({ workers, ...options }: RuntimeOptions): V4WorkerOptions[] {
	const [own, ...others] = workers;
	if (!own) throw new Error("there is no worker to run");
	const beside = others.map((other) => besideLocations(options, other, own.config.name));
	return [...locationsOf(options, own), ...beside];
}

/**
 * A worker that the locations bind to. It has no socket, and no thread of its own: it is told who serves
 * requests on the one that it has (`Neighbour` in src/index.ts).
 */
function besideLocations(
	{ ports, vars }: StartOptions,
	{ config, modules }: ReadyWorker,
	service: string,
): V4WorkerOptions {
	const { cronTriggers: _, ...given } = config.options;
	const neighbours = ports.map((_, index) => [
		`NEIGHBOUR_${index}`,
		{ name: nameAt(service, index), entrypoint: "Neighbour" },
	]);
	return {
		...given,
		name: config.name,
		...modulesOf(modules),
		bindings: { ...given.bindings, ...vars },
		serviceBindings: { ...given.serviceBindings, ...Object.fromEntries(neighbours) },
	};
}

function nameAt(service: string, location: number): string {
	return location === 0 ? service : `${service}-${location}`;
}

function modulesOf(modules: ReadyWorker["modules"]) {
	return {
		modules: modules.map(({ type, path }) => ({ type, path })),
		modulesRoot: dirname(modules[0]?.path ?? "."),
	};
}

/**
 * The first location owns the Durable Objects and consumes the queues; the others bind to its
 * objects. Static files are a worker of their own: an `assets` option on a location would put the
 * asset router before its socket, which costs four fifths of the requests per second.
 */
function locationsOf(options: StartOptions, { config, modules }: ReadyWorker): V4WorkerOptions[] {
	const { name, options: given } = config;
	const { assets, durableObjects = {}, queueConsumers, cronTriggers: _, ...common } = given;
	const locations = options.ports.map(
		(port, index): V4WorkerOptions => ({
			...common,
			name: nameAt(name, index),
			...modulesOf(modules),
			bindings: { ...common.bindings, ...options.vars },
			serviceBindings: {
				...common.serviceBindings,
				...(assets?.binding ? { [assets.binding]: assetsWorker } : {}),
			},
			durableObjects: index === 0 ? durableObjects : atFirstLocation(durableObjects, name),
			...(index === 0 && queueConsumers ? { queueConsumers } : {}),
			unsafeDirectSockets: [{ host: loopback, port }],
		}),
	);
	if (!assets) return locations;
	return [
		...locations,
		{
			name: assetsWorker,
			modules: [{ type: "ESModule", path: "assets.js", contents: "export default {}" }],
			...(given.compatibilityDate ? { compatibilityDate: given.compatibilityDate } : {}),
			assets: {
				...filesOnly(assets),
				routerConfig: { has_user_worker: false, invoke_user_worker_ahead_of_assets: false },
			},
		},
	];
}

/** What the asset worker needs of the configuration: it has no worker of its own to run first. */
function filesOnly({ run_worker_first: _, ...assets }: NonNullable<V4WorkerOptions["assets"]>) {
	return assets;
}

type DurableObjects = NonNullable<V4WorkerOptions["durableObjects"]>;

function atFirstLocation(durableObjects: DurableObjects, name: string): DurableObjects {
	return Object.fromEntries(
		Object.entries(durableObjects).map(([binding, target]) => {
			const designator = typeof target === "string" ? { className: target } : target;
			return [binding, { ...designator, scriptName: designator.scriptName ?? name }];
		}),
	);
}

import { dirname } from "node:path";
import {
	convertV4MiniflareOptions,
	Miniflare,
	NoOpLog,
	type V4WorkerdStructuredLog,
	type V4WorkerOptions,
} from "miniflare";
import type { BundledModule } from "./bundle.ts";
import type { WorkerConfig } from "./kept.ts";
import { loopback } from "./ports.ts";

export interface RuntimeOptions {
	/** wrangler.toml: date, flags, variables, Durable Objects, buckets, queues and assets. */
	readonly config: WorkerConfig;
	/** The bundled worker, the main module first. */
	readonly modules: readonly BundledModule[];
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
}

export interface Runtime {
	readonly urls: readonly string[];
	/** Runs the worker's scheduled handler once, at the first location. @throws when it failed */
	scheduled(cron: string, scheduledTime: number): Promise<void>;
	stop(): Promise<void>;
}

/** Starts the bundled worker in workerd, once for each location, each with a memory of its own. */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
	const { name } = options.config;
	const miniflare = new Miniflare(
		convertV4MiniflareOptions({
			host: loopback,
			port: 0,
			cf: false,
			log: new NoOpLog(),
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
	return {
		urls: options.ports.map((port) => `http://${loopback}:${port}`),
		async scheduled(cron, scheduledTime) {
			// Asked for anew each time: after workerd was restarted an old handle is dead.
			const first = await miniflare.getWorker(name);
			const { outcome } = await first.scheduled({ cron, scheduledTime: new Date(scheduledTime) });
			if (outcome !== "ok") throw new Error(`the scheduled handler ended with ${outcome}`);
		},
		stop: () => miniflare.dispose(),
	};
}

const assetsWorker = "static-assets";

/**
 * The first location owns the Durable Objects and consumes the queues; the others bind to its
 * objects. Static files are a worker of their own: an `assets` option on a location would put the
 * asset router before its socket, which costs four fifths of the requests per second.
 */
function workersOf(options: RuntimeOptions): V4WorkerOptions[] {
	const { name, options: given } = options.config;
	const { assets, durableObjects = {}, queueConsumers, cronTriggers: _, ...common } = given;
	const locations = options.ports.map(
		(port, index): V4WorkerOptions => ({
			...common,
			name: index === 0 ? name : `${name}-${index}`,
			modules: options.modules.map(({ type, path }) => ({ type, path })),
			modulesRoot: dirname(options.modules[0]?.path ?? ""),
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

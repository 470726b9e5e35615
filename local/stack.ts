import { join, resolve } from "node:path";
import type { V4WorkerdStructuredLog } from "miniflare";
import { startCronClock } from "./cron.ts";
import { type DataFolder, openDataFolder, storageOf, wranglerDir } from "./folder.ts";
import { type Guard, startGuard } from "./guard.ts";
import { endLeftovers } from "./leftovers.ts";
import { loopback, portsInARow } from "./ports.ts";
import { inOneLine } from "./problem.ts";
import { requireOpenFiles, requireTemporaryFolder } from "./processes.ts";
import { prepareRuntime, type RuntimeProcess } from "./runtime-process.ts";
import { firstTenant, type Services, startServices } from "./services.ts";
import { fillSpareKeys } from "./spares.ts";
import { createUndo, type Undo } from "./undo.ts";

const stockDelayMs = 5_000;
export const projectConfig = join(import.meta.dirname, "..", "wrangler.toml");

export interface StackOptions {
	/** The data folder, made when it is not there. */
	readonly dataDir: string;
	/** Of the first location; the others follow. 0 for any free ones. */
	readonly port: number;
	/** How many locations; 1 by default. */
	readonly edges?: number;
	/** False gives up safety against a crash of the machine for speed: for tests only. */
	readonly durable?: boolean;
	/** Another wrangler.toml than the project's; the archive's stands beside it (bundle.ts). */
	readonly configPath?: string;
	/** A folder that has the worker bundled already (bundle.ts); it is bundled from `configPath` when left out. */
	readonly bundleDir?: string | undefined;
	/** False leaves the stock of RSA keys empty: making them takes seconds of the processor. */
	readonly spareKeys?: boolean;
	/** More variables for the worker; they win over the stack's own. */
	readonly vars?: Readonly<Record<string, string>>;
	readonly inspectorPort?: number;
	/** Told what the worker writes to its console. */
	readonly onLog?: (log: V4WorkerdStructuredLog) => void;
	/** Told when nothing stands in the way at first sight: folder and ports are ours. */
	readonly onStarting?: () => void;
	/** Told in a line what happened beside the requests: a restart, a cron run that failed. */
	readonly onEvent?: (line: string) => void;
	/** Aborted when the start is not wanted any more: the promise rejects once all is stopped. */
	readonly signal?: AbortSignal;
}

export interface Stack extends Services {
	readonly folder: DataFolder;
	/** Which tenant the admin token is for. */
	readonly tenant: string;
	readonly adminTokenFile: string;
	/** Runs every worker's scheduled handler once. @throws when one failed */
	scheduled(cron: string, scheduledTime: number): Promise<void>;
	/** Stops everything; may be called twice. */
	stop(): Promise<void>;
}

/**
 * Starts the whole stack: PostgreSQL, the gateways, the worker in workerd at each location, and
 * the cron clock. When one part fails, all that was started is stopped before this rejects.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
	const undo = createUndo();
	try {
		return await startParts(options, undo);
	} catch (error) {
		await undo.run().catch(() => {}); // the first failure is the one to tell
		throw error;
	}
}

async function startParts(options: StackOptions, undo: Undo): Promise<Stack> {
	const { port, edges = 1, durable = true, spareKeys = true, signal } = options;
	const { onEvent = () => {} } = options;
	signal?.throwIfAborted();
	requireOpenFiles();
	requireTemporaryFolder();
	const folder = openDataFolder(resolve(options.dataDir));
	undo.add(folder.release);
	await endLeftovers(folder.path); // before the ports: it may have ours
	const ports = await portsInARow(port, edges);
	const urls = ports.map((one) => `http://${loopback}:${one}`);
	options.onStarting?.();
	const guard = startGuard();
	undo.add(guard.stop);
	const runtime = prepare(options, folder, guard);
	undo.add(runtime.stop);

	const services = await startServices({ folder, guard, undo, durable, urls });
	signal?.throwIfAborted();
	const vars = { ...services.vars, SPARE_RSA_KEYS: "elsewhere", ...options.vars };
	const { crons } = await runtime.start({ ports, vars, inspectorPort: options.inspectorPort });
	signal?.throwIfAborted();

	let stopping = false;
	const onError = (cron: string, error: unknown) => {
		if (!stopping) onEvent(`the cron run "${cron}" failed: ${inOneLine(error)}`);
	};
	const fillStock = async (cron: string) => {
		if (spareKeys) await fillSpareKeys(vars).catch((error) => onError(cron, error));
	};
	undo.add(runtime.stop); // again: the workers have to go before what they work with
	// A clock for each: what one takes its time for holds up no other.
	for (const [index, { worker, lines }] of crons.entries()) {
		const run = (cron: string, at: number) => runtime.scheduled(cron, at, worker);
		const fire = async (cron: string, at: number) => {
			await Promise.all([index === 0 && fillStock(cron), run(cron, at)]);
		};
		undo.add(startCronClock(lines, fire, onError).stop);
		// Once at the start, in the background: the jobs make ready what requests would wait for.
		for (const cron of new Set(lines)) {
			run(cron, Date.now()).catch((error) => onError(cron, error));
		}
	}
	// Primes take every processor there is, and who has just started this is about to ask something.
	const stock = setTimeout(() => void fillStock("at the start"), stockDelayMs);
	undo.add(async () => clearTimeout(stock));
	return {
		...services,
		folder,
		urls,
		tenant: firstTenant,
		adminTokenFile: folder.tokenFile,
		died: Promise.race([services.died, runtime.died]),
		scheduled: runtime.scheduled,
		stop() {
			stopping = true;
			return undo.run();
		},
	};
}

function prepare(
	{ configPath = projectConfig, bundleDir, onLog, onEvent }: StackOptions,
	folder: DataFolder,
	guard: Guard,
): RuntimeProcess {
	return prepareRuntime({
		configPath,
		bundleDir: bundleDir ?? join(folder.path, "bundle"),
		bundled: bundleDir !== undefined,
		storageDir: storageOf(folder),
		wranglerDir: wranglerDir(folder),
		onSpawn: (pid) => guard.watch(pid, "SIGKILL"),
		onLog,
		onRestart: () => onEvent?.("workerd ended unexpectedly and was started again"),
	});
}

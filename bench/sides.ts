import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inOneLine, Problem } from "../local/problem.ts";
import { createService, sampleMessage } from "./service.ts";
import {
	type BenchWorker,
	buildWorker,
	type Ground,
	launchWorker,
	projectRoot,
	type Variant,
	variantConfig,
} from "./workers.ts";

/** A form of the service that is compared with another. */
export interface Source {
	readonly name: string;
	/** The project's folder: this one, or one with another revision. */
	readonly root?: string;
	readonly variant?: Variant;
	/** Called with each worker before it is measured. */
	readonly prepare?: (worker: BenchWorker) => Promise<void>;
}

/** The service of a source, built, with a database of its own: one side's records do not meet the other's. */
export interface Side {
	readonly name: string;
	/** Starts it in a process that nothing ran in before. */
	start(): Promise<BenchWorker>;
	/** A sign request, as the generator sends it. */
	readonly request: string;
}

const key = "bench-side";

/** @throws Problem when the revision has no service that this one can start */
export async function openSide(ground: Ground, source: Source): Promise<Side> {
	const { name, root = projectRoot, variant = {}, prepare } = source;
	const services = await startServicesOf(ground, source);
	const built = await buildWorker(ground, name, await variantConfig(ground, name, variant, root));
	const launch = async () => {
		const worker = await launchWorker(ground, built, services.vars);
		return { worker, service: createService(worker, services.admin.token) };
	};
	const first = await launch();
	await first.service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	await first.worker.stop();
	const [path, body] = [`/v1/keys/${key}/sign`, { message: sampleMessage }];
	return {
		name,
		request: first.service.prepare(path, body),
		async start() {
			const { worker, service } = await launch();
			await prepare?.(worker);
			await service.post(path, body); // loads what the first request loads, and fails in words
			return worker;
		},
	};
}

/** By the revision's own code: its migrations, its variables. */
async function startServicesOf(
	{ folder, guard, undo }: Ground,
	{ name, root = projectRoot }: Source,
) {
	const load = (file: string) => import(pathToFileURL(join(root, "local", file)).href);
	try {
		const { openDataFolder } = (await load("folder.ts")) as typeof import("../local/folder.ts");
		const { startServices } = (await load("services.ts")) as typeof import("../local/services.ts");
		const own = openDataFolder(join(folder.path, name));
		undo.add(own.release);
		return await startServices({ folder: own, guard, undo, durable: true, urls: [] });
	} catch (error) {
		const why = inOneLine(error);
		throw new Problem(`the services of ${name} can not be started from here: ${why}`, {
			cause: error,
		});
	}
}

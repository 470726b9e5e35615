import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleWorker, sizeOf } from "../../local/bundle.ts";
import { startGuard } from "../../local/guard.ts";
import { portsInARow } from "../../local/ports.ts";
import { prepareRuntime, type RuntimeProcess } from "../../local/runtime-process.ts";
import {
	isNode,
	killAtOnce,
	leftoversOf,
	processesWith,
	processWith,
	runCommand,
} from "../support/node/processes.ts";

const config = `
name = "fixture"
main = "worker.js"
compatibility_date = "2026-11-01"

[vars]
COLOUR = "blue"
SHAPE = "round"

[triggers]
crons = ["*/5 * * * *"]

[assets]
directory = "public"
binding = "ASSETS"
run_worker_first = true

[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]
`;

const worker = `
import { DurableObject } from "cloudflare:workers";

export class Counter extends DurableObject {
	async next() {
		const value = ((await this.ctx.storage.get("value")) ?? 0) + 1;
		await this.ctx.storage.put("value", value);
		return value;
	}
}

let requests = 0;

export default {
	async fetch(request, env) {
		const file = await env.ASSETS.fetch("https://assets.local/hello.txt");
		return Response.json({
			counter: await env.COUNTER.getByName("one").next(),
			requests: ++requests,
			file: await file.text(),
			colour: env.COLOUR,
			shape: env.SHAPE,
		});
	},
	async scheduled(controller) {
		if (controller.cron === "bad") throw new Error("no");
		console.log(\`cron \${controller.cron} of \${controller.scheduledTime}\`);
	},
};
`;

/** In the environment of all that is started here. */
const tag = randomUUID();
process.env.EDGESIGN_TEST_TAG = tag;
const guard = startGuard();
const logs: string[] = [];
let restarts = 0;
let folder: string;
let configPath: string;
let runtime: RuntimeProcess;
let urls: readonly string[];
let crons: readonly { worker: string; lines: readonly string[] }[];

async function start(): Promise<void> {
	runtime = prepareRuntime({
		configPath,
		bundleDir: join(folder, "bundle"),
		storageDir: join(folder, "storage"),
		onSpawn: (pid) => guard.watch(pid, "SIGKILL"),
		onLog: ({ message }) => logs.push(message),
		onRestart: () => restarts++,
	});
	const ports = await portsInARow(0, 2);
	({ urls, crons } = await runtime.start({ ports, vars: { COLOUR: "red" } }));
}

function runtimeProcesses(): string[] {
	const commands = processesWith(tag).map(({ command }) => command);
	return commands.filter((command) => !command.includes("reaper.ts"));
}

async function ask(location: number): Promise<unknown> {
	const response = await fetch(urls[location] ?? "");
	return response.json();
}

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-runtime-"));
	configPath = join(folder, "wrangler.toml");
	await writeFile(configPath, config);
	await writeFile(join(folder, "worker.js"), worker);
	await mkdir(join(folder, "public"));
	await mkdir(join(folder, "node_modules")); // what is made of it is kept there for the next start
	await writeFile(join(folder, "public", "hello.txt"), "hello");
	await start();
});

afterAll(async () => {
	await runtime.stop();
	await guard.stop();
	await rm(folder, { recursive: true, force: true });
});

test("two locations have the same Durable Object, and each a memory of its own", async () => {
	expect(await ask(0)).toMatchObject({ counter: 1, requests: 1 });
	expect(await ask(1)).toMatchObject({ counter: 2, requests: 1 });
	expect(await ask(0)).toMatchObject({ counter: 3, requests: 2 });
	expect(await ask(1)).toMatchObject({ counter: 4, requests: 2 });
});

test("variables come from the configuration, and those of the caller win", async () => {
	expect(await ask(1)).toMatchObject({ colour: "red", shape: "round" });
});

test("static files are there for the worker, and do not answer before it", async () => {
	expect(await ask(0)).toMatchObject({ file: "hello" });
	const response = await fetch(`${urls[1]}/hello.txt`);
	expect(await response.json()).toMatchObject({ file: "hello" });
});

test("the cron lines are the configuration's, and a run reaches the worker with its time", async () => {
	expect(crons).toEqual([{ worker: "fixture", lines: ["*/5 * * * *"] }]);
	await runtime.scheduled("*/5 * * * *", 1_795_000_000_000);
	await expect.poll(() => logs).toContain("cron */5 * * * * of 1795000000000");
	await expect(runtime.scheduled("bad", 0)).rejects.toThrow(/ended with exception/);
});

test("workerd that is killed comes back on the same ports with its storage", async () => {
	const before = (await ask(0)) as { counter: number };
	process.kill(processWith(tag, "workerd serve"), "SIGKILL");
	await expect.poll(() => restarts, { timeout: 15_000 }).toBe(1);
	expect(await ask(1)).toMatchObject({ counter: before.counter + 1, requests: 1 });
	await runtime.scheduled("*/5 * * * *", 1_795_000_060_000);
	await expect.poll(() => logs).toContain("cron */5 * * * * of 1795000060000");
});

test("workerd that is killed again while it comes back comes back all the same", async () => {
	const before = (await ask(0)) as { counter: number };
	const restartsBefore = restarts;
	const killed = new Set<number>();
	await expect
		.poll(
			() => {
				for (const { pid, command } of processesWith(tag)) {
					if (!command.includes("workerd serve") || killed.has(pid)) continue;
					killed.add(pid);
					process.kill(pid, "SIGKILL");
				}
				return killed.size;
			},
			{ interval: 5 },
		)
		.toBeGreaterThanOrEqual(3);
	await expect.poll(() => restarts).toBeGreaterThan(restartsBefore);
	await expect.poll(() => ask(1).catch(() => null)).toMatchObject({ counter: before.counter + 1 });
});

test("the next start has the same storage, and a stop leaves no process", async () => {
	const before = (await ask(0)) as { counter: number };
	await runtime.stop();
	await runtime.stop();
	expect(runtimeProcesses()).toEqual([]);
	await start();
	expect(await ask(0)).toMatchObject({ counter: before.counter + 1, requests: 1 });
});

test("a runtime whose process is killed is told of, and leaves no workerd", async () => {
	process.kill(processWith(tag, "runtime-host"), "SIGKILL");
	expect(await runtime.died).toBe("the worker's runtime ended unexpectedly (SIGKILL)");
	await expect(runtime.scheduled("*/5 * * * *", 0)).rejects.toThrow("the runtime has ended");
	await expect.poll(runtimeProcesses).toEqual([]);
	await start();
});

/** Starts a runtime that nobody watches, says so, and waits. */
const unwatched = `
	const { prepareRuntime } = await import("./local/runtime-process.ts");
	const [configPath, bundleDir, storageDir] = process.argv.slice(1);
	const runtime = prepareRuntime({ configPath, bundleDir, storageDir });
	await runtime.start({ ports: [0], vars: {} });
	console.log("started");
`;

test("workerd ends when all that is called node is killed at once, the reaper too", async () => {
	const folders = ["bundle-2", "storage-2"].map((name) => join(folder, name));
	const args = ["--input-type=module", "-e", unwatched, configPath, ...folders];
	const starter = runCommand(process.execPath, args);
	await starter.says(/started/);
	expect(processWith(starter.tag, "workerd serve")).toBeGreaterThan(0);
	killAtOnce(starter.tag, isNode);
	expect(await leftoversOf(starter.tag)).toEqual([]);
});

test("a worker that does not build is refused in the compiler's words", async () => {
	const broken = join(folder, "broken.toml");
	await writeFile(broken, config.replace("worker.js", "broken.js"));
	await writeFile(join(folder, "broken.js"), "export default { fetch() { return 1 1; } };");
	await expect(bundleWorker(broken, join(folder, "broken"))).rejects.toThrow(
		/^the worker does not build:\n.*Build failed.*broken\.js:1:/s,
	);
});

test("the size is that of the modules, not of what wrangler writes beside them", async () => {
	const modules = await bundleWorker(configPath, join(folder, "sized"));
	expect(modules.map(({ type }) => type)).toEqual(["ESModule"]);
	const { raw, gzip } = await sizeOf(modules);
	expect(raw).toBeGreaterThan(500);
	expect(raw).toBeLessThan(worker.length * 2);
	expect(gzip).toBeLessThan(raw);
});

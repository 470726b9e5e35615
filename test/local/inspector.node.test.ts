import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGuard } from "../../local/guard.ts";
import { type Inspector, openInspector } from "../../local/inspector.ts";
import { portsInARow } from "../../local/ports.ts";
import { prepareRuntime, type RuntimeProcess } from "../../local/runtime-process.ts";

const config = `
name = "fixture"
main = "worker.js"
compatibility_date = "2026-11-01"
keep_names = true
`;

const keptNumbers = 500_000;
const turns = 50_000_000;

const worker = `
let kept;

function spinForAWhile() {
	let sum = 0;
	for (let i = 0; i < ${turns}; i++) sum += Math.sqrt(i);
	return sum;
}

export default {
	async fetch(request) {
		const { pathname } = new URL(request.url);
		if (pathname === "/keep") kept = Array.from({ length: ${keptNumbers} }, (_, i) => i + 0.5);
		if (pathname === "/drop") kept = undefined;
		if (pathname === "/spin") return new Response(String(spinForAWhile()));
		return new Response("");
	},
};
`;

const guard = startGuard();
let folder: string;
let runtime: RuntimeProcess;
let port: number;
let url: string;
let inspector: Inspector;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-inspector-"));
	const configPath = join(folder, "wrangler.toml");
	await writeFile(configPath, config);
	await writeFile(join(folder, "worker.js"), worker);
	runtime = prepareRuntime({
		configPath,
		bundleDir: join(folder, "bundle"),
		storageDir: join(folder, "storage"),
		onSpawn: (pid) => guard.watch(pid, "SIGKILL"),
	});
	const [own = 0, inspectorPort = 0] = await portsInARow(0, 2);
	port = inspectorPort;
	const started = await runtime.start({ ports: [own], vars: {}, inspectorPort });
	url = started.urls[0] ?? "";
	inspector = await openInspector(port, "fixture");
});

afterAll(async () => {
	inspector?.close();
	await runtime.stop();
	await guard.stop();
	await rm(folder, { recursive: true, force: true });
});

async function ask(path: string): Promise<void> {
	await (await fetch(`${url}${path}`)).text();
}

async function usedAfterCollection(): Promise<number> {
	await inspector.collectGarbage(() => ask("/"));
	return (await inspector.heapUsage()).usedSize;
}

test("the heap after a collection is what the worker keeps", async () => {
	const before = await usedAfterCollection();
	await ask("/keep");
	const bytes = keptNumbers * 8;
	expect((await usedAfterCollection()) - before).toBeGreaterThan(bytes);
	await ask("/drop");
	expect((await usedAfterCollection()) - before).toBeLessThan(bytes / 100);
});

test("a CPU profile names the function that took the time", async () => {
	await inspector.startProfile(500);
	await ask("/spin");
	const { nodes, samples, timeDeltas } = await inspector.stopProfile();
	const spinning = nodes.find(({ callFrame }) => callFrame.functionName === "spinForAWhile");
	expect(spinning?.callFrame).toMatchObject({ url: "worker.js" });
	const spent = samples.reduce(
		(sum, id, index) => sum + (id === spinning?.id ? (timeDeltas[index] ?? 0) : 0),
		0,
	);
	expect(spent).toBeGreaterThan(0);
});

test("a heap snapshot is written as browsers read it", async () => {
	const path = join(folder, "a.heapsnapshot");
	await inspector.takeHeapSnapshot(path);
	const { snapshot, nodes } = JSON.parse(await readFile(path, "utf8"));
	expect(nodes).toHaveLength(snapshot.node_count * snapshot.meta.node_fields.length);
});

test("a worker that is not there is named, beside those that are", async () => {
	await expect(openInspector(port, "other")).rejects.toThrow(
		/has no core:user:other, it has .*core:user:fixture/,
	);
});

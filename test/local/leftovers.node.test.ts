import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { endLeftovers, usersByLsof } from "../../local/leftovers.ts";

let parent: string;
let data: string;
let started: ChildProcess[];

beforeEach(async () => {
	parent = await realpath(await mkdtemp(join(tmpdir(), "edgesign-leftovers-")));
	data = join(parent, "data folder's");
	started = [];
	for (const folder of ["runtime/do", "redis", "postgres", "inner/runtime"]) {
		mkdirSync(join(data, folder), { recursive: true });
	}
	mkdirSync(join(parent, "data folder's-2", "runtime"), { recursive: true });
});

afterEach(async () => {
	for (const child of started) child.kill("SIGKILL");
	await rm(parent, { recursive: true, force: true });
});

interface Running {
	/** What it has open, in the parent folder. */
	readonly file?: string;
	/** Where it works, in the parent folder. */
	readonly cwd?: string;
	readonly args?: readonly string[];
}

/** A program of that name, which ends at no other signal than SIGKILL. */
async function run(name: string, { file, cwd = ".", args = [] }: Running): Promise<ChildProcess> {
	const program = join(parent, name);
	writeFileSync(program, "#!/bin/sh\ntrap '' TERM INT\necho ready\nread -r _\n", { mode: 0o700 });
	const open = file === undefined ? undefined : openSync(join(parent, file), "a");
	const child = spawn(program, args, {
		cwd: join(parent, cwd),
		stdio: ["pipe", "pipe", "ignore", open ?? "ignore"],
	});
	if (open !== undefined) closeSync(open);
	started.push(child);
	if (child.stdout) await once(child.stdout, "data");
	return child;
}

const left: [string, string, Running][] = [
	["workerd with an object's file open", "workerd", { file: "data folder's/runtime/do/a.sqlite" }],
	["redis-server, which has no file open", "redis-server", { cwd: "data folder's/redis" }],
];

const others: [string, string, Running][] = [
	["workerd of another data folder", "workerd", { file: "data folder's-2/runtime/a.sqlite" }],
	["workerd of a data folder inside", "workerd", { file: "data folder's/inner/runtime/a.sqlite" }],
	["a backup of the files", "backup", { file: "data folder's/runtime/do/a.sqlite" }],
	["somebody's redis-server", "redis-server", {}],
];

test.each(left)("%s is ended", async (_, name, running) => {
	const child = await run(name, running);
	await endLeftovers(data);
	await expect.poll(() => child.signalCode).toBe("SIGKILL");
});

test.each(others)("%s is left alone", async (_, name, running) => {
	const child = await run(name, running);
	await endLeftovers(data);
	expect([child.exitCode, child.signalCode, child.killed]).toEqual([null, null, false]);
	expect(child.kill(0)).toBe(true);
});

test.each([
	[
		"that holds the runtime",
		["/x/local/runtime-host.ts", "w.toml", "bundle", "DATA/runtime/v3"],
		true,
	],
	["of wrangler", ["/x/wrangler.js", "dev", "--persist-to=DATA/runtime", "--port=1"], true],
	[
		"that holds another's",
		["/x/local/runtime-host.ts", "w.toml", "bundle", "DATA-2/runtime/v3"],
		false,
	],
	["with other work there", ["/x/count.js", "DATA/runtime/v3"], false],
])("the process %s is ended or left: it would start workerd again", async (_, words, ends) => {
	const args = words.map((word) => word.replace("DATA", data));
	const script = "console.log('ready'); setInterval(() => {}, 1000)";
	const child = spawn(process.execPath, ["-e", script, "--", ...args]);
	started.push(child);
	await once(child.stdout, "data");
	await endLeftovers(data);
	if (ends) await expect.poll(() => child.signalCode).toBe("SIGKILL");
	else expect(child.signalCode).toBe(null);
});

const hasLsof = spawnSync("lsof", ["-v"]).error === undefined;

test.skipIf(!hasLsof)("where there is no /proc, the same ones are found", async () => {
	const found: (number | undefined)[] = [];
	for (const [, name, running] of left) found.push((await run(name, running)).pid);
	for (const [, name, running] of others) await run(name, running);
	expect(new Set(usersByLsof(data))).toEqual(new Set(found));
});

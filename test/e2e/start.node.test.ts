import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import {
	chownSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../local/ports.ts";
import { postgresUser } from "../../local/postgres-user.ts";
import { isAlive } from "../../local/processes.ts";
import {
	type Command,
	isNode,
	killAtOnce,
	leftoversOf,
	processesWith,
	processWith,
	project,
	runCommand,
} from "../support/node/processes.ts";

let parent: string;
let dataDir: string;
/** The start that runs now. */
let running: Command;

beforeAll(async () => {
	parent = await mkdtemp(join(tmpdir(), "edgesign-start-"));
	dataDir = join(parent, "data folder's"); // a name that a shell has to quote
});

afterAll(async () => {
	running.child.kill("SIGKILL");
	await expectNothingLeft(running);
	rmSync(parent, { recursive: true, force: true });
});

function environment(port: number | string): Record<string, string> {
	return { PORT: String(port), INIT_CWD: "", KEY_ENCRYPTION_KEYS: "" };
}

/** `npm start`, as a person runs it. */
function npmStart(...args: string[]): Command {
	return runCommand("npm", ["start", "--", ...args], environment(0));
}

/** What npm start runs in the end, without npm's own start-up time. */
function start(port: number | string, ...args: string[]): Command {
	const program = join(project, "local", "start.ts");
	return runCommand(process.execPath, [program, ...args], environment(port));
}

async function addressOf(command: Command): Promise<string> {
	const [, url = ""] = await command.says(/edgesign runs at (http:\/\/127\.0\.0\.1:\d+)/);
	await command.says(/Ctrl-C stops everything/);
	return url;
}

/** PostgreSQL gets no environment of ours, but the data folder in its arguments. */
async function expectNothingLeft(command: Command): Promise<void> {
	expect(await leftoversOf(command.tag)).toEqual([]);
	expect(await leftoversOf(dataDir)).toEqual([]);
}

function adminToken(): string {
	return readFileSync(join(dataDir, "admin-token"), "utf8").trim();
}

async function keyNames(url: string, token = adminToken()): Promise<string[]> {
	const response = await fetch(`${url}/v1/keys`, { headers: { authorization: `Bearer ${token}` } });
	expect(response.status).toBe(200);
	return JSON.stringify(await response.json()).match(/demo-[0-9a-f]{6}/g) ?? [];
}

/** The digest of a signature that was given out. */
async function sign(url: string, key: string): Promise<string> {
	const response = await fetch(`${url}/v1/keys/${key}/sign`, {
		method: "POST",
		headers: { authorization: `Bearer ${adminToken()}`, "content-type": "application/json" },
		body: JSON.stringify({ message: Buffer.from(randomUUID()).toString("base64") }),
	});
	expect(response.status).toBe(200);
	const { signature } = (await response.json()) as { signature: string };
	return createHash("sha256").update(signature, "base64").digest("base64");
}

/** The digests of signatures that the audit log has. */
async function recorded(url: string): Promise<string[]> {
	const headers = { authorization: `Bearer ${adminToken()}` };
	const response = await fetch(`${url}/v1/audit?action=sign`, { headers });
	const { records } = (await response.json()) as { records: { signatureSha256: string }[] };
	return records.map(({ signatureSha256 }) => signatureSha256);
}

/** Whatever would have ended these is another. */
const isServer = (command: string) => /^\S*(workerd serve|postgres|redis-server)/.test(command);

async function run(program: string, args: string[], env = {}): Promise<string> {
	const options = { cwd: project, env: { ...process.env, ...env } };
	return (await promisify(execFile)(program, args, options)).stdout;
}

/** It said one line, and nothing of it runs on. */
async function expectRefusal(refused: Command, line: string | RegExp): Promise<void> {
	expect(await refused.ended).toBe(1);
	expect(refused.stderr()).toMatch(/^edgesign: [^\n]+\n$/);
	expect(refused.stderr()).toMatch(line);
	expect(await leftoversOf(refused.tag)).toEqual([]);
}

describe("npm start", () => {
	let url: string;
	let name: string;

	test("says the address and the token, which it keeps for the owner only", async () => {
		running = npmStart("--data", dataDir);
		url = await addressOf(running);
		const file = join(dataDir, "admin-token");
		expect(running.stdout()).toContain(`\n${adminToken()}\nIt is kept in ${file}.\n`);
		expect(statSync(file).mode & 0o777).toBe(0o600);
		expect(running.stderr()).not.toContain("edgesign:");
	});

	test("opens no inspector: whoever reaches one reads every key", () => {
		const workerd = processWith(running.tag, "workerd serve");
		expect(readFileSync(`/proc/${workerd}/cmdline`, "utf8")).not.toContain("--inspector-addr");
	});

	test("shows curl lines that create a key, sign and verify when they are pasted", async () => {
		const lines = running.stdout().match(/^.*curl .*$/gm) ?? [];
		expect(lines).toHaveLength(3);
		const output = await run("bash", ["-c", lines.map((line) => `${line}; echo`).join("\n")]);
		const [created = "", signature = "", verified = ""] = output.split("\n").filter(Boolean);
		name = (JSON.parse(created) as { name: string }).name;
		expect(Buffer.from(signature, "base64")).toHaveLength(64);
		expect(JSON.parse(verified)).toMatchObject({ valid: true });
		expect(await keyNames(url)).toEqual([name]);
	});

	test("lets npm run tenant make a tenant, whose token works and is all that is printed", async () => {
		const args = ["run", "--silent", "tenant", "--", "create", "acme", "--data", dataDir];
		const token = (await run("npm", args)).trim();
		expect(token).toMatch(/^es_acme_[A-Za-z0-9_-]{43}$/);
		expect(await keyNames(url, token)).toEqual([]);
		await expect(run("npm", args)).rejects.toThrow("edgesign: there is a tenant acme already");
	});

	test("lets npm run migrate see that there is nothing to do", async () => {
		const output = await run("npm", ["run", "--silent", "migrate", "--", "--data", dataDir]);
		expect(output).toMatch(/^The schema is at version \d+\.\n$/);
	});

	test("refuses a second one on its folder or on its port, which harms nothing", async () => {
		await expectRefusal(start(0, "--data", dataDir), "is in use by another run");
		const other = start(new URL(url).port, "--data", join(parent, "other"));
		await expectRefusal(other, /port \d+ is in use: /);
		expect(await keyNames(url)).toEqual([name]);
	});

	test("ends with exit code 0 at Ctrl-C, which a terminal sends to all of its group", async () => {
		process.kill(-running.pid, "SIGINT");
		expect(await running.ended).toBe(0);
		expect(running.stdout()).toMatch(/\nStopping \.\.\.\n$/);
		expect(running.stderr()).not.toContain("edgesign:");
		await expectNothingLeft(running);
	});

	test("has the same keys at the second start, and does not show the token again", async () => {
		running = npmStart("--data", dataDir, "--edges", "2");
		url = await addressOf(running);
		expect(running.stdout()).not.toContain(adminToken());
		expect(running.stdout()).toContain(join(dataDir, "admin-token"));
		expect(await keyNames(url)).toEqual([name]);
		const second = `http://127.0.0.1:${Number(new URL(url).port) + 1}`;
		expect(running.stdout()).toContain(`Further locations: ${second}\n`);
		expect(await keyNames(second)).toEqual([name]);
	});

	test("ends when npm alone gets SIGKILL", async () => {
		running.child.kill("SIGKILL");
		await expectNothingLeft(running);
	});

	test("starts again on its port whatever was killed, and all starts' signatures are recorded", async () => {
		running = npmStart("--data", dataDir);
		url = await addressOf(running);
		const digests = [await sign(url, name)];
		for (const isKilled of [isNode, (command: string) => !isServer(command)]) {
			const workerd = processWith(running.tag, "workerd serve");
			killAtOnce(running.tag, isKilled);
			await running.ended;
			expect(processesWith(dataDir)).not.toEqual([]); // nobody was left to end them
			running = start(new URL(url).port, "--data", dataDir);
			expect(await addressOf(running)).toBe(url);
			expect(isAlive(workerd)).toBe(false);
			digests.push(await sign(url, name));
			await expect.poll(() => recorded(url)).toEqual(expect.arrayContaining(digests));
		}
	});

	test("does not wait for a clean end when Ctrl-C comes a second time", async () => {
		process.kill(processWith(running.tag, "runtime-host.ts"), "SIGSTOP"); // it can not end now
		process.kill(-running.pid, "SIGINT");
		await running.says(/Stopping/);
		await sleep(700); // or it is taken for the same press
		process.kill(-running.pid, "SIGINT");
		expect(await running.ended).toBe(130);
		await expectNothingLeft(running);
	});

	test("leaves nothing running when it gets SIGKILL, while it starts and when it is up", async () => {
		const waits = [150, 500, 1_000].map((milliseconds) => () => sleep(milliseconds));
		const moments = [...waits, () => addressOf(running)];
		for (const moment of moments) {
			running = start(0, "--data", dataDir);
			await moment();
			running.child.kill("SIGKILL");
			await running.ended;
			await expectNothingLeft(running);
		}
	});

	test("ends with exit code 0 at Ctrl-C before it is up", async () => {
		running = start(0, "--data", dataDir);
		await running.says(/Starting/);
		process.kill(-running.pid, "SIGINT");
		expect(await running.ended).toBe(0);
		expect(running.stderr()).toBe("");
		await expectNothingLeft(running);
	});

	test("tells in a line that PostgreSQL was killed, stops the rest and exits with 1", async () => {
		running = start(0, "--data", dataDir);
		url = await addressOf(running);
		expect(await keyNames(url)).toEqual([name]);
		process.kill(processWith(dataDir, "postgres -D"), "SIGKILL");
		expect(await running.ended).toBe(1);
		// A job that was just at work logs, as JSON, that it lost the database: the word to the person stands last.
		const lines = running.stderr().trimEnd().split("\n");
		expect(lines.pop()).toBe(
			"edgesign: PostgreSQL ended unexpectedly (SIGKILL); everything else was stopped",
		);
		for (const line of lines) expect(JSON.parse(line)).toMatchObject({ event: "job_failed" });
		await expectNothingLeft(running);
	});
});

/** On which port. Wrangler looks for one for the archive's worker too, which another program may take before it. */
async function startDev(folder: string): Promise<number> {
	const program = join(project, "local", "dev.ts");
	for (;;) {
		const port = await freePort();
		running = runCommand(process.execPath, [program, "--data", folder], environment(port));
		try {
			await running.says(/Ready on http/);
			return port;
		} catch (error) {
			if (!String(error).includes("Address already in use")) throw error;
		}
	}
}

test("npm run dev serves the worker through wrangler, and ends with exit code 0", async () => {
	const folder = join(parent, "dev");
	const port = await startDev(folder);
	const readiness = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).json();
	await expect.poll(readiness).toMatchObject({ ready: true });
	// The archive's worker, with variables of its own: before the first record there was none.
	const token = readFileSync(join(folder, "admin-token"), "utf8").trim();
	const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
	const address = `http://127.0.0.1:${port}`;
	const cold = await fetch(`${address}/v1/audit?to=2020-01-01T00:00:00Z`, { headers });
	expect(await cold.json()).toEqual({ records: [], nextCursor: null });
	const body = JSON.stringify({ name: "k", algorithm: "Ed25519" });
	const made = await fetch(`${address}/v1/keys`, { method: "POST", headers, body });
	expect(made.status).toBe(201);
	process.kill(-running.pid, "SIGINT");
	expect(await running.ended).toBe(0);
	await expectNothingLeft(running);
	for (const kept of ["dev.env", "dev-archive"]) expect(readdirSync(folder)).not.toContain(kept);
	// What it has signed is in the log of the service that runs there next: a chain has one object.
	running = start(0, "--data", folder);
	const next = await addressOf(running);
	expect(running.stdout()).toContain(`\n${token}\n`); // nobody was shown it yet
	const answer = await fetch(`${next}/v1/audit/checkpoint`, { headers });
	expect(await answer.json()).toMatchObject({
		checkpoint: { ended: [], chains: [{ sequence: 1 }] },
	});
	const listed = await (await fetch(`${next}/v1/tokens`, { headers })).json();
	const own = `${next}/v1/tokens/${(listed as { tokens: { id: string }[] }).tokens[0]?.id}`;
	expect((await fetch(own, { method: "DELETE", headers })).status).toBe(204);
	running.child.kill("SIGKILL");
	await running.ended;
	running = start(0, "--data", folder);
	await addressOf(running);
	expect(running.stdout()).toContain("was revoked; another is made with: npm run tenant");
	expect(running.stdout()).not.toContain("curl");
	running.child.kill("SIGKILL");
	await expectNothingLeft(running);
});

test("npm run deploy -- --dry-run bundles the workers and tells their sizes", async () => {
	const output = await run("npm", ["run", "--silent", "deploy", "--", "--dry-run"]);
	const size = "is \\d+\\.\\d KiB, compressed \\d+\\.\\d KiB\\.\n";
	expect(output).toMatch(new RegExp(`^The worker ${size}The archive's worker ${size}$`));
});

describe("npm start is refused in one line, with exit code 1 and nothing left running", () => {
	test.each([
		["an unknown flag", 0, ["--prot", "1"], "Unknown option '--prot'"],
		["a word that is no flag", 0, ["here"], "Unexpected argument 'here'"],
		["no locations", 0, ["--edges", "0"], '--edges must be a whole number from 1 to 16, not "0"'],
		["half a location", 0, ["--edges", "1.5"], "--edges must be a whole number"],
		[
			"a PORT that is a word",
			"http",
			[],
			'PORT must be a whole number from 0 to 65535, not "http"',
		],
		["a PORT beyond the last", 65_536, [], "PORT must be a whole number"],
		["a data folder without a name", 0, ["--data", ""], "--data needs the name of a folder"],
		["locations beyond the last port", 65_535, ["--edges", "2"], "PORT must be a whole number"],
	])("%s", async (_, port, args, line) => {
		await expectRefusal(start(port, ...args), line);
	});

	test.each([
		["LOG_LEVEL", "verbose", 'must be one of debug, info, warn, error, not "verbose"'],
		["AUDIT_HOT_DAYS", "0", 'must be a whole number from 1 to 3650, not "0"'],
	])("a %s of %s", async (name, value, rule) => {
		const program = join(project, "local", "start.ts");
		const args = [program, "--data", join(parent, "variables")];
		const env = { ...environment(0), [name]: value };
		await expectRefusal(runCommand(process.execPath, args, env), `${name} ${rule}`);
	});

	test("a limit on open files that is too low", async () => {
		const program = join(project, "local", "start.ts");
		const args = [process.execPath, program, "--data", join(parent, "files")];
		const limited = ["-c", 'ulimit -n 128 && exec "$@"', "sh", ...args];
		const refused = runCommand("sh", limited, environment(0));
		await expectRefusal(
			refused,
			'no more than 128 files may be open at once: raise the limit ("ulimit -n") to 1024 or more',
		);
	});

	test("a further location's port in use", async () => {
		const server = createServer();
		const port = await new Promise<number>((resolve) => {
			server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
		});
		const refused = start(port - 1, "--edges", "2", "--data", join(parent, "other"));
		await expectRefusal(refused, /port \d+ is in use: /);
		await new Promise((resolve) => server.close(resolve));
	});

	test("a file in the data folder's place", async () => {
		const file = join(parent, "file");
		writeFileSync(file, "");
		await expectRefusal(start(0, "--data", file), "there is a file in its place");
	});

	test("a data folder that can not be written", async () => {
		// Permissions do not stop root: for it, the kernel's own folder takes no files.
		const folder = process.getuid?.() === 0 ? "/proc/edgesign" : join(parent, "read-only");
		if (!folder.startsWith("/proc")) mkdirSync(folder, { mode: 0o500 });
		await expectRefusal(start(0, "--data", folder), `the data folder ${folder} can not be written`);
	});

	/** A data folder that some start has left, or something like it. */
	function damaged(files: Readonly<Record<string, string>>): string {
		const folder = join(parent, `damaged-${++folders}`);
		for (const [name, content] of Object.entries(files)) {
			mkdirSync(join(folder, dirname(name)), { recursive: true });
			writeFileSync(join(folder, name), content);
		}
		const { ids } = postgresUser([]);
		const server = join(folder, "postgres");
		if (ids && existsSync(server)) chownSync(server, ids.uid, ids.gid);
		return folder;
	}
	let folders = 0;
	const keys = { "key-encryption-keys": `kek-1:${Buffer.alloc(32).toString("base64")}\n` };
	const passwords = { "postgres-passwords": '{"owner":"a","worker":"b"}' };

	test.each([
		[
			"of another PostgreSQL",
			{ ...keys, ...passwords, "postgres/PG_VERSION": "17\n" },
			/was made by PostgreSQL 17, and this is PostgreSQL 18/,
		],
		[
			"with half of PostgreSQL's files",
			{ ...keys, ...passwords, "postgres/PG_VERSION": "18\n" },
			/is broken: PostgreSQL does not start \(.+\); its log is postgres\.log/,
		],
		[
			"without its passwords",
			{ ...keys, "postgres/PG_VERSION": "18\n" },
			/is broken: the file postgres-passwords/,
		],
		[
			"without its keys",
			{ "postgres/PG_VERSION": "18\n" },
			/is broken: the file key-encryption-keys is missing/,
		],
		[
			"with a lock that is none",
			{ ...keys, lock: "no database".repeat(100) },
			/can not be locked: .*not a database/,
		],
	])("a data folder %s", async (_, files, line) => {
		await expectRefusal(start(0, "--data", damaged(files)), line);
	});
});

import {
	chmodSync,
	chownSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
	adminToken,
	type DataFolder,
	keyEncryptionKeys,
	newKeyEncryptionKey,
	openDataFolder,
	storageOf,
	writePrivateFile,
} from "../../local/folder.ts";
import { postgresUser } from "../../local/postgres-user.ts";
import { runCommand } from "../support/node/processes.ts";

let parent: string;
let folder: DataFolder;

beforeEach(() => {
	parent = mkdtempSync(join(tmpdir(), "edgesign-folder-"));
	folder = openDataFolder(join(parent, "new", "data"));
});

afterEach(() => {
	vi.unstubAllEnvs();
	folder.release();
	rmSync(parent, { recursive: true, force: true });
});

function modeOf(name: string): number {
	return statSync(join(folder.path, name)).mode & 0o777;
}

/** The folder as the next start finds it, when PostgreSQL has made its files there. */
async function reopenUsed(): Promise<void> {
	const files = join(folder.path, "postgres");
	await mkdir(files, { recursive: true });
	writeFileSync(join(files, "PG_VERSION"), "18");
	const { ids } = postgresUser([]);
	if (ids) chownSync(files, ids.uid, ids.gid);
	folder.release();
	folder = openDataFolder(folder.path);
}

test("others who may pass through it can not look at what the runtime and Redis keep", () => {
	chmodSync(join(folder.path, "runtime"), 0o755); // as an earlier release left it
	folder.release();
	folder = openDataFolder(folder.path);
	expect(["", "runtime", "redis"].map(modeOf)).toEqual([0o711, 0o700, 0o700]);
});

test("the storage of an earlier release is brought to where it is now", async () => {
	const object = join(folder.path, "runtime", "do", "a.sqlite");
	rmSync(dirname(object));
	await mkdir(dirname(object), { recursive: true });
	writeFileSync(object, "a");
	for (let starts = 0; starts < 2; starts++) {
		folder.release();
		folder = openDataFolder(folder.path);
		expect(readFileSync(join(storageOf(folder), "do", "a.sqlite"), "utf8")).toBe("a");
	}
});

test("an earlier release finds a file in its storage's place, and one that was run all the same is told of", async () => {
	await mkdir(join(storageOf(folder), "do"), { recursive: true });
	const earlier = join(folder.path, "runtime", "do");
	await expect(mkdir(join(earlier, "main"), { recursive: true })).rejects.toThrow("ENOTDIR");
	rmSync(earlier);
	await mkdir(earlier);
	folder.release();
	for (let tries = 0; tries < 2; tries++) {
		expect(() => openDataFolder(folder.path)).toThrow(
			/^an earlier release has used the data folder .* since, .* or move .*runtime\/do away/,
		);
	}
	rmSync(earlier, { recursive: true });
	folder = openDataFolder(folder.path);
});

test("whatever the shell's umask is, the owner can open it again and nobody else may write it", async () => {
	const before = process.umask();
	for (const mask of [0o000, 0o377, 0o777]) {
		process.umask(mask);
		folder.release();
		folder = openDataFolder(join(parent, mask.toString(8), "data"));
		await keyEncryptionKeys(folder);
		expect([dirname(folder.path), folder.path].map((path) => statSync(path).mode & 0o777)).toEqual([
			0o711, 0o711,
		]);
		expect(["runtime", "runtime/do", "lock", "key-encryption-keys"].map(modeOf)).toEqual([
			0o700, 0o600, 0o600, 0o600,
		]);
	}
	process.umask(before);
});

test.each([
	["with other files", ["letter", "lock", "runtime/a"]],
	["with a lock and nothing else that is ours", ["lock"]],
])("a folder %s is refused, and nothing in it is touched", (_, names) => {
	const foreign = join(parent, "foreign");
	for (const name of names) {
		mkdirSync(dirname(join(foreign, name)), { recursive: true, mode: 0o755 });
		writeFileSync(join(foreign, name), "theirs", { mode: 0o644 });
	}
	const seen = () =>
		readdirSync(foreign, { recursive: true }).map((name) => [
			name,
			statSync(join(foreign, `${name}`)).mode,
		]);
	const before = seen();
	expect(() => openDataFolder(foreign)).toThrow(
		/foreign is not a data folder, and there are files/,
	);
	expect(seen()).toEqual(before);
});

test("a start that was cut off early leaves a folder that is ours; so is an empty disk", () => {
	folder.release();
	writeFileSync(join(folder.path, "key-encryption-keys.0123abcd"), "");
	folder = openDataFolder(folder.path);
	mkdirSync(join(parent, "disk", "lost+found"), { recursive: true });
	openDataFolder(join(parent, "disk")).release();
});

test("files of PostgreSQL that belong to another user are told of, and nothing is written", async () => {
	const copy = join(parent, "copy 1");
	await mkdir(join(copy, "postgres"), { recursive: true });
	writeFileSync(join(copy, "postgres", "PG_VERSION"), "18");
	const isRoot = process.getuid?.() === 0; // who may give it to another; and PostgreSQL runs as one
	if (isRoot) chownSync(join(copy, "postgres"), 4321, 4321);
	else vi.spyOn(process, "getuid").mockReturnValue(4321);
	expect(() => openDataFolder(copy)).toThrow(
		/postgres belongs to user \d+, and PostgreSQL would run as user \d+: .*chown -R \d+:\d+ '.*copy 1\/postgres'$/,
	);
	expect(readdirSync(copy)).toEqual(["postgres"]);
	vi.restoreAllMocks();
});

test("one process at a time has the folder, until it lets go or ends", async () => {
	expect(() => openDataFolder(folder.path)).toThrow(/is in use by another run/);
	folder.release();
	const script = `const { openDataFolder } = await import("./local/folder.ts");
		openDataFolder(process.argv[1]); console.log("open"); setTimeout(() => {}, 60_000);`;
	const other = runCommand(process.execPath, ["--input-type=module", "-e", script, folder.path]);
	await other.says(/open/);
	expect(() => openDataFolder(folder.path)).toThrow(/is in use by another run/);
	other.child.kill("SIGKILL");
	await other.ended;
	folder = openDataFolder(folder.path);
});

test("a file in the folder's place, or on the way to it, is told of", () => {
	const file = join(parent, "file");
	writeFileSync(file, "");
	for (const path of [file, join(file, "below")]) {
		expect(() => openDataFolder(path)).toThrow(
			`the data folder ${path} can not be written: there is a file in its place`,
		);
	}
});

test("a folder that can not be made is told of", () => {
	expect(() => openDataFolder("/proc/edgesign")).toThrow(
		/^the data folder \/proc\/edgesign can not be written: /,
	);
});

test("the key-encryption key is made once, for the owner only", async () => {
	const made = await keyEncryptionKeys(folder);
	expect(made).toMatch(/^kek-[0-9a-f]{8}:[A-Za-z0-9+/]{43}=$/);
	expect(modeOf("key-encryption-keys")).toBe(0o600);
	await reopenUsed();
	expect(await keyEncryptionKeys(folder)).toBe(made);
});

test("further key-encryption keys stand above, a line each, and the environment wins", async () => {
	const old = await keyEncryptionKeys(folder);
	const newer = newKeyEncryptionKey();
	writeFileSync(join(folder.path, "key-encryption-keys"), `${newer}\n${old}\n`);
	expect(await keyEncryptionKeys(folder)).toBe(`${newer},${old}`);
	vi.stubEnv("KEY_ENCRYPTION_KEYS", old);
	expect(await keyEncryptionKeys(folder)).toBe(old);
});

test("lost or damaged key-encryption keys are told of, and never made anew", async () => {
	await reopenUsed();
	await expect(keyEncryptionKeys(folder)).rejects.toThrow(/key-encryption-keys is missing/);
	const file = join(folder.path, "key-encryption-keys");
	const secret = "c2VjcmV0";
	writeFileSync(file, `kek-1:${secret}\n`);
	const refusal = keyEncryptionKeys(folder);
	await expect(refusal).rejects.toThrow(`${file}: KEY_ENCRYPTION_KEYS: entry 1 must be`);
	await expect(refusal).rejects.not.toThrow(secret);
});

test("the admin token is made once, for the owner only", async () => {
	const first = await adminToken(folder, "main");
	expect(first.token).toMatch(/^es_main_[A-Za-z0-9_-]{43}$/);
	expect(modeOf("admin-token")).toBe(0o600);
	expect(readFileSync(folder.tokenFile, "utf8")).toBe(`${first.token}\n`);
	expect((await adminToken(folder, "main")).token).toBe(first.token);
});

test("the admin token is unseen until it was shown, also where the start that made it was cut off", async () => {
	expect((await adminToken(folder, "main")).isUnseen()).toBe(true);
	const later = await adminToken(folder, "main");
	expect(later.isUnseen()).toBe(true);
	await later.noteSeen();
	expect((await adminToken(folder, "main")).isUnseen()).toBe(false);
	// As an earlier release made it.
	rmSync(folder.tokenFile);
	writeFileSync(folder.tokenFile, `${later.token}\n`, { mode: 0o600 });
	expect((await adminToken(folder, "main")).isUnseen()).toBe(false);
});

test("what was being written when a run was killed is not left, and a file of somebody's is", () => {
	for (const name of ["key-encryption-keys.0a1b2c3d", "postgres-passwords.0a1b2c3d"]) {
		writeFileSync(join(folder.path, name), "secret");
	}
	writeFileSync(join(folder.path, "key-encryption-keys.backup"), "secret");
	writeFileSync(join(folder.path, "key-encryption-keys"), "x");
	folder.release();
	folder = openDataFolder(folder.path);
	const left = readdirSync(folder.path).filter((name) => name.includes("."));
	expect(left).toEqual(["key-encryption-keys.backup"]);
});

test("a folder whose database is gone is broken, and not made anew beside what was left", () => {
	writeFileSync(folder.tokenFile, "es_main_x");
	folder.release();
	expect(() => openDataFolder(folder.path)).toThrow(/is broken: its folder postgres is missing/);
	rmSync(folder.tokenFile); // a first start that was cut off before it made one goes on
	folder = openDataFolder(folder.path);
});

test("a token file that holds something else is refused without a copy of it", async () => {
	writeFileSync(folder.tokenFile, "es_main_tooshort");
	const refusal = adminToken(folder, "main");
	await expect(refusal).rejects.toThrow(`${folder.tokenFile} does not hold a token`);
	await expect(refusal).rejects.not.toThrow("tooshort");
});

test("a file that can not be written is named, and leaves no draft beside it", async () => {
	await mkdir(join(folder.path, "taken", "by a folder"), { recursive: true });
	const before = readdirSync(folder.path);
	const file = join(folder.path, "taken");
	await expect(writePrivateFile(file, "text")).rejects.toThrow(`${file} can not be written: E`);
	expect(readdirSync(folder.path)).toEqual(before);
});

import { randomBytes } from "node:crypto";
import {
	accessSync,
	chmodSync,
	constants,
	existsSync,
	mkdirSync,
	readdirSync,
	realpathSync,
	renameSync,
	rmSync,
	statfsSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { hashToken, mintToken } from "../src/auth/tokens.ts";
import { ConfigError, parseKeyEncryptionKeys } from "../src/lib/keks.ts";
import { systemRandom } from "../src/lib/random.ts";
import { requireOwnFiles } from "./postgres-user.ts";
import { codeOf, inOneLine, Problem } from "./problem.ts";

/** The files that a run of the stack keeps for the next one. All of them are for the owner only. */
export interface DataFolder {
	/** Absolute, with no symbolic link in it. */
	readonly path: string;
	readonly tokenFile: string;
	/** Whether an earlier run has made keys here, which a lost file would make unreadable. */
	readonly used: boolean;
	/** Lets another run have the folder. The system does it too when this process ends. */
	release(): void;
}

/**
 * Whatever the shell's is, files are for the owner and folders may be passed through. Another could have the next
 * start not open what this one made, or let others write the code that it runs.
 */
const ownUmask = 0o066;

/**
 * Makes the folder if there is none, and takes it for this process.
 * @throws Problem when it can not be written, or another process has it
 */
export function openDataFolder(asGiven: string): DataFolder {
	let path: string;
	process.umask(ownUmask);
	try {
		// Others may pass through it (PostgreSQL has a user of its own under root), not list it.
		makeFolder(asGiven);
		path = realpathSync(asGiven);
		accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
	} catch (error) {
		const isFile = codeOf(error) === "EEXIST" || codeOf(error) === "ENOTDIR";
		const why = isFile ? "there is a file in its place" : inOneLine(error);
		throw new Problem(`the data folder ${asGiven} can not be written: ${why}`, { cause: error });
	}
	requireOurs(path);
	requireWhole(path);
	requireOwnFiles(path);
	const release = lock(path);
	try {
		for (const name of privateFolders) makePrivate(join(path, name));
		dropDrafts(path);
		bringOver(path);
	} catch (error) {
		release();
		if (error instanceof Problem) throw error;
		const why = inOneLine(error);
		throw new Problem(
			`what the data folder ${path} keeps can not be brought to where it is now: ${why}`,
			{
				cause: error,
			},
		);
	}
	return {
		path,
		tokenFile: join(path, "admin-token"),
		used: existsSync(join(path, "postgres")),
		release,
	};
}

/** What the first start makes, and whoever restores a folder brings. */
const marks = ["key-encryption-keys", "postgres-passwords", "admin-token", "postgres/PG_VERSION"];
/** What may be there before those are; and what systems put into an empty folder. */
const beforeMarks = ["lock", ...["runtime", "redis", "bundle", "bundle-archive", "wrangler"]];
/** Of what was being written (writePrivateFile) when a run was killed: there are secrets in it. */
const draft =
	/^(key-encryption-keys|postgres-passwords|admin-token|admin-token-unseen|stack\.json|dev\.env)\.[0-9a-f]{8}$/;
const ofSystems = ["lost+found", ".DS_Store"];

/** Before anything in it is touched: the folder may be somebody's who took one name for another. */
function requireOurs(path: string): void {
	if (marks.some((name) => existsSync(join(path, name)))) return;
	const others = readdirSync(path).filter((name) => !ofSystems.includes(name));
	const mayBeCutOff = others.every((name) => beforeMarks.includes(name) || draft.test(name));
	// The lock has no content, and comes first.
	const lockSize = statSync(join(path, "lock"), { throwIfNoEntry: false })?.size;
	if (others.length === 0 || (mayBeCutOff && lockSize === 0)) return;
	throw new Problem(
		`${path} is not a data folder, and there are files in it: give an empty folder with --data, or one that is not there`,
	);
}

/** The first start makes the token when PostgreSQL is there: without its files, what a folder had is lost. */
function requireWhole(path: string): void {
	if (!existsSync(join(path, "admin-token")) || existsSync(join(path, "postgres"))) return;
	throw new Problem(
		`the data folder ${path} is broken: its folder postgres is missing, which has the keys and the log; put a backup in its place, or give another folder with --data`,
	);
}

function dropDrafts(path: string): void {
	for (const name of readdirSync(path)) {
		if (draft.test(name)) rmSync(join(path, name), { force: true });
	}
}

/** A segment of PostgreSQL's journal, and some of what the log and Redis write. */
const roomLeast = 64 * 2 ** 20;

/** Bytes that are left on the folder's disk, where they are few; null where they are enough. */
export function scarceRoom(path: string): number | null {
	const { bavail, bsize } = statfsSync(path);
	return bavail * bsize < roomLeast ? bavail * bsize : null;
}

/** What `wrangler dev` is told to keep its storage under. */
export function storageRoot({ path }: Pick<DataFolder, "path">): string {
	return join(path, "runtime");
}

/** The storage of Durable Objects and R2, where wrangler has it too: a chain of the log has one object. */
export function storageOf(folder: Pick<DataFolder, "path">): string {
	return join(storageRoot(folder), "v3");
}

/** For what wrangler keeps of its own: nothing that is missed. */
export function wranglerDir({ path }: Pick<DataFolder, "path">): string {
	return join(path, "wrangler");
}

/**
 * An earlier release had the same storage a folder higher. It would begin anew there, and the log with it: where it
 * finds a file in the place of its folder, it ends.
 * @throws Problem where it was run after this one
 */
function bringOver(path: string): void {
	const [root, storage] = [storageRoot({ path }), storageOf({ path })];
	const earlier = join(root, "do");
	if (statSync(earlier, { throwIfNoEntry: false })?.isDirectory()) {
		if (existsSync(join(storage, "do"))) {
			throw new Problem(
				`an earlier release has used the data folder ${path} since, and its log has gone on in two places: put a backup of the folder in its place, or move ${earlier} away to go on without what was done then (what it archived is in ${join(root, "r2")})`,
			);
		}
		// The objects last: where this is cut off, the next start goes on.
		const others = readdirSync(root).filter((name) => name !== "do" && name !== basename(storage));
		makeFolder(storage);
		for (const name of [...others, "do"]) renameSync(join(root, name), join(storage, name));
	}
	if (!existsSync(earlier)) writeFileSync(earlier, `It is in ${storage}.\n`, { mode: 0o600 });
}

/** Of what the runtime and Redis keep, the audit log with it: whoever may pass may not look there. */
const privateFolders = ["runtime", "redis"];

function makePrivate(path: string): void {
	makeFolder(path);
	chmodSync(path, 0o700);
}

/** Not `recursive`: with that, Node tries for ever where a folder is there and takes no children. */
function makeFolder(path: string): void {
	try {
		mkdirSync(path, { mode: 0o711 });
	} catch (error) {
		if (codeOf(error) === "EEXIST" && statSync(path).isDirectory()) return;
		if (codeOf(error) !== "ENOENT" || existsSync(dirname(path))) throw error;
		makeFolder(dirname(path));
		makeFolder(path);
	}
}

/** Those that are held: one that nobody refers to is closed when memory is collected. */
const locks = new Set<DatabaseSync>();

/** SQLite's lock is the system's own: it ends with the process, however that ends. */
function lock(path: string): () => void {
	const file = join(path, "lock");
	let database: DatabaseSync | undefined;
	try {
		database = new DatabaseSync(file);
		chmodSync(file, 0o600); // whoever may read it could hold a lock on it
		database.exec("pragma journal_mode = memory; begin exclusive");
		const held = database;
		locks.add(held);
		return () => {
			locks.delete(held);
			held.close();
		};
	} catch (error) {
		database?.close();
		if (isBusy(error)) {
			throw new Problem(
				`the data folder ${path} is in use by another run: stop that one, or give another folder with --data`,
				{ cause: error },
			);
		}
		throw new Problem(`the data folder ${path} can not be locked: ${file}: ${inOneLine(error)}`, {
			cause: error,
		});
	}
}

function isBusy(error: unknown): boolean {
	const sqliteBusy = 5;
	return error instanceof Error && "errcode" in error && error.errcode === sqliteBusy;
}

/** Writes the file beside its place and moves it there: it is whole, or it is not there. */
export async function writePrivateFile(file: string, text: string): Promise<void> {
	const draft = `${file}.${randomBytes(4).toString("hex")}`;
	try {
		await writeFile(draft, text, { mode: 0o600, flag: "wx", flush: true });
		await rename(draft, file);
	} catch (error) {
		await rm(draft, { force: true }).catch(() => {}); // the first failure is the one to tell
		throw new Problem(`${file} can not be written: ${inOneLine(error)}`, { cause: error });
	}
}

async function readIfThere(file: string): Promise<string | undefined> {
	try {
		return await readFile(file, "utf8");
	} catch (error) {
		if (codeOf(error) === "ENOENT") return undefined;
		throw new Problem(`${file} can not be read: ${inOneLine(error)}`, { cause: error });
	}
}

/**
 * The key-encryption keys in the form of the worker's variable, newest first: from the environment,
 * or else from the folder's file, which the first start makes.
 */
export async function keyEncryptionKeys(folder: DataFolder): Promise<string> {
	const file = join(folder.path, "key-encryption-keys");
	const given = process.env.KEY_ENCRYPTION_KEYS || undefined;
	const stored = given ?? (await readIfThere(file));
	if (stored !== undefined) {
		try {
			return parseKeyEncryptionKeys(stored)
				.map(({ id, bytes }) => `${id}:${Buffer.from(bytes).toString("base64")}`)
				.join(",");
		} catch (error) {
			const where = given === undefined ? file : "the environment";
			const line = error instanceof ConfigError ? `${where}: ${error.message}` : inOneLine(error);
			throw new Problem(line, { cause: error });
		}
	}
	if (folder.used) {
		throw new Problem(
			`the data folder ${folder.path} is broken: the file key-encryption-keys is missing, and without it no private key in the folder can be read (or set KEY_ENCRYPTION_KEYS, if the folder was made with it)`,
		);
	}
	const made = newKeyEncryptionKey();
	await writePrivateFile(file, `${made}\n`);
	return made;
}

/** `id:base64` of 32 random bytes. */
export function newKeyEncryptionKey(): string {
	return `kek-${randomBytes(4).toString("hex")}:${randomBytes(32).toString("base64")}`;
}

export interface AdminToken {
	readonly token: string;
	readonly hash: string;
	/** Whether nobody was shown it yet: a start that made it can be ended before it does. */
	isUnseen(): boolean;
	/** To be called when it was shown. */
	noteSeen(): Promise<void>;
}

/** The admin token of the folder's file, which is made when it is not there. */
export async function adminToken(folder: DataFolder, tenant: string): Promise<AdminToken> {
	const stored = (await readIfThere(folder.tokenFile))?.trim();
	if (stored !== undefined && !/^es_[a-z0-9-]+_[A-Za-z0-9_-]{43}$/.test(stored)) {
		throw new Problem(
			`${folder.tokenFile} does not hold a token: delete the file, and the next start makes a new one`,
		);
	}
	const token = stored ?? mintToken(tenant, systemRandom);
	const unseen = `${folder.tokenFile}-unseen`;
	if (stored === undefined) {
		await writePrivateFile(unseen, "");
		await writePrivateFile(folder.tokenFile, `${token}\n`);
	}
	return {
		token,
		hash: hashToken(token),
		isUnseen: () => existsSync(unseen),
		noteSeen: () => rm(unseen, { force: true }),
	};
}

import { execFile } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runningStack } from "../../local/connect.ts";
import { newKeyEncryptionKey } from "../../local/folder.ts";
import { newDataDir } from "../support/node/data-dir.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

const run = promisify(execFile);
const project = join(import.meta.dirname, "..", "..");
const names = ["Ed25519", "ES256K", "HS256", "ES384"];
const message = "aGVsbG8=";

let dataDir: string;
let kekFile: string;
let stack: TestStack;

beforeAll(async () => {
	dataDir = await newDataDir();
	kekFile = join(dataDir, "key-encryption-keys");
	stack = await startTestStack({ dataDir });
	for (const algorithm of names) {
		await stack.call("POST", "/v1/keys", { name: algorithm, algorithm });
	}
	await stack.call("POST", "/v1/keys/Ed25519/rotate");
});
afterAll(async () => {
	await stack?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

async function restartWith(keys: (old: string) => string): Promise<void> {
	await stack.stop();
	await writeFile(kekFile, keys(await readFile(kekFile, "utf8")));
	stack = await startTestStack({ dataDir });
}

async function sealedUnder(): Promise<Record<string, number>> {
	const running = await runningStack(dataDir);
	const client = new pg.Client({ connectionString: running?.databaseUrl });
	await client.connect();
	const { rows } = await client.query<{ kek_id: string; n: number }>(
		"select kek_id, count(*)::int as n from key_versions group by kek_id",
	);
	await client.end();
	return Object.fromEntries(rows.map((row) => [row.kek_id, row.n]));
}

/** Of the tenant's log, which a cron run brings there. */
async function rewrapNotes(): Promise<object[]> {
	const running = await runningStack(dataDir);
	const client = new pg.Client({ connectionString: running?.databaseUrl });
	await client.connect();
	const { rows } = await client.query<object>(
		"select tenant_id, target_name from audit_outbox where action = 'operator.rewrap'",
	);
	await client.end();
	return rows;
}

async function signWithAll(): Promise<void> {
	for (const name of names) {
		for (const version of name === "Ed25519" ? [1, 2] : [1]) {
			const path = `/v1/keys/${name}`;
			const signed = await stack.call<{ signature: string }>("POST", `${path}/sign`, {
				message,
				version,
			});
			const { signature } = signed;
			const verified = await stack.call("POST", `${path}/verify`, { message, signature, version });
			expect(verified).toEqual({ valid: true, version });
		}
	}
}

describe("npm run rewrap", () => {
	it("moves every key to the newest key-encryption key while the service signs", async () => {
		const fresh = newKeyEncryptionKey();
		const newest = fresh.slice(0, fresh.indexOf(":"));
		await restartWith((old) => `second-${fresh}\n${old}`);

		let running = true;
		const signing = (async () => {
			while (running) await signWithAll();
		})();
		const { stdout } = await run(
			join(project, "node_modules", ".bin", "node"),
			[join(project, "local", "rewrap.ts"), "--data", dataDir],
			{ cwd: project },
		);
		running = false;
		await signing;
		expect(stdout).toContain(`5 versions are now under "second-${newest}"`);
		expect(await sealedUnder()).toEqual({ [`second-${newest}`]: 5 });
		expect(await rewrapNotes()).toEqual([{ tenant_id: "main", target_name: `second-${newest}` }]);

		await restartWith((both) => `${both.split("\n")[0]}\n`);
		await signWithAll();
	});

	it("says in a line that the database does not answer, and that it can be run again", async () => {
		const key = newKeyEncryptionKey();
		const environment = { DATABASE_URL: "postgres://u:p@127.0.0.1:1/x", KEY_ENCRYPTION_KEYS: key };
		const failed = await run(
			join(project, "node_modules", ".bin", "node"),
			[join(project, "local", "rewrap.ts")],
			{ cwd: project, env: { ...process.env, ...environment } },
		).catch((error: { code: number; stderr: string }) => error);
		expect(failed).toMatchObject({ code: 1 });
		expect(failed.stderr).toMatch(/^edgesign: the database does not answer .*run it again.*\n$/);
	});

	it("names what does not open, changes nothing of it, and exits 1", async () => {
		const before = await sealedUnder();
		await restartWith(() => `third-${newKeyEncryptionKey()}\n`);
		const failed = await run(
			join(project, "node_modules", ".bin", "node"),
			[join(project, "local", "rewrap.ts"), "--data", dataDir],
			{ cwd: project },
		).catch((error: { code: number; stderr: string }) => error);
		expect(failed).toMatchObject({ code: 1 });
		expect(failed.stderr).toContain("5 versions did not open and stay as they were");
		expect(await sealedUnder()).toEqual(before);
		expect(await rewrapNotes()).toHaveLength(1);
		const refused = await stack.fetch("POST", "/v1/keys/Ed25519/sign", { message });
		expect(refused.status).toBe(500);
		expect(await refused.text()).not.toContain("key-encryption");
	});
});

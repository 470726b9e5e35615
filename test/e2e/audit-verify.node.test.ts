import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "../../local/database.ts";
import { fillDataDir } from "../support/node/data-dir.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

const root = join(import.meta.dirname, "../..");
const guide = readFileSync(join(root, "docs/guides/audit.md"), "utf8");
const command = join(root, "local/audit-verify.ts");
const run = promisify(execFile);
/** Where the guide puts what it fetches. */
const kept = ".data/audit";

let folder: string;
let stack: TestStack;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-audit-"));
	await fillDataDir(join(folder, ".data"));
	stack = await startTestStack({ dataDir: join(folder, ".data") });
	// Else the records of what the stack made at its start would come in between, within two minutes.
	await withDatabase(stack.databaseUrl, (client) => client.query("delete from audit_outbox"));
});
afterAll(async () => {
	await stack?.stop();
	await rm(folder, { recursive: true, force: true });
});

/** What the command prints, and how it ends. */
async function verify(...args: readonly string[]) {
	const env = {
		...process.env,
		EDGESIGN_TOKEN: await readFile(`${folder}/.data/admin-token`, "utf8"),
	};
	env.EDGESIGN_TOKEN = env.EDGESIGN_TOKEN.trim();
	return run(process.execPath, [command, ...args], { cwd: folder, env }).then(
		({ stdout }) => ({ code: 0, text: stdout }),
		({ code, stderr }) => ({ code: Number(code), text: String(stderr) }),
	);
}

describe("the guide to the audit log", () => {
	it("does what it says when its commands are pasted one after the other", async () => {
		const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text);
		const script = blocks
			.join("\n")
			.replace("http://127.0.0.1:8787", stack.url)
			.replace("npm run audit:verify --", `'${process.execPath}' '${command}'`);
		expect(script).toContain(stack.url);
		const { stdout } = await run("sh", ["-euc", script], { cwd: folder });
		const [key, signature, page, verdict] = stdout.trim().split("\n");
		expect(JSON.parse(key ?? "")).toMatchObject({ name: "payments" });
		expect(JSON.parse(signature ?? "")).toHaveProperty("signature");
		const { records } = JSON.parse(page ?? "");
		expect(records.map(({ action }: { action: string }) => action)).toEqual(["sign", "createKey"]);
		expect(verdict).toMatch(
			/^2 records in 1 chain of the tenant \w+ hold: every record up to the checkpoint/,
		);
	});
});

describe("npm run audit:verify", () => {
	const keys = ["--keys", `${kept}/keys.json`];

	it("reads a URL, and keys from one", async () => {
		const from = ["--keys", `${stack.url}/.well-known/audit-jwks.json`];
		const { code, text } = await verify(`${stack.url}/v1/audit/export`, ...from);
		expect({ code, text }).toMatchObject({ code: 0, text: expect.stringContaining("2 records") });
	});

	it("reads Parquet from a URL and from a file, and names where that was changed", async () => {
		const url = `${stack.url}/v1/audit/export?format=parquet`;
		const { code, text } = await verify(url, ...keys);
		expect({ code, text }).toMatchObject({ code: 0, text: expect.stringContaining("2 records") });
		const token = (await readFile(`${folder}/.data/admin-token`, "utf8")).trim();
		const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
		const file = new Uint8Array(await answer.arrayBuffer());
		await writeFile(join(folder, "audit.parquet"), file);
		expect(await verify("audit.parquet", ...keys)).toMatchObject({ code: 0 });
		await writeFile(join(folder, "cut.parquet"), file.subarray(0, -10));
		const cut = await verify("cut.parquet", ...keys);
		expect(cut.code).toBe(1);
		expect(cut.text).toContain("cut_off: the export ends before its first record");
		const altered = Buffer.from(file).toString("latin1").replaceAll("payments", "payment5");
		await writeFile(join(folder, "changed.parquet"), Buffer.from(altered, "latin1"));
		const changed = await verify("changed.parquet", ...keys);
		expect(changed.code).toBe(1);
		expect(changed.text).toMatch(/changed \(row 1\): record 1, [0-9a-f-]{36}/);
	});

	it("reads the proof of a record, which may come by a checkpoint that was kept", async () => {
		const { records } = await stack.call<{ records: { id: string }[] }>("GET", "/v1/audit");
		const [newest, first] = records.map(({ id }) => `${stack.url}/v1/audit/records/${id}/proof`);
		const holds = await verify(newest ?? "", ...keys, "--since", `${kept}/checkpoint.json`);
		expect(holds).toMatchObject({ code: 0, text: expect.stringContaining("sign payments at") });
		expect(holds.text).toMatch(/1 link to the checkpoint of .*, by way of .*checkpoint\.json/);

		const proof = await stack.fetch("GET", new URL(first ?? "").pathname);
		const pretty = JSON.stringify(await proof.json(), null, 2);
		await writeFile(join(folder, "proof.json"), pretty);
		expect(await verify("proof.json", ...keys)).toMatchObject({ code: 0 });
		await writeFile(
			join(folder, "cut-proof.json"),
			(await readFile(join(folder, "proof.json"), "utf8")).slice(0, -9),
		);
		for (const since of [[], ["--since", `${kept}/checkpoint.json`]]) {
			const cut = await verify("cut-proof.json", ...keys, ...since);
			expect(cut).toMatchObject({ code: 1, text: expect.stringContaining("unreadable") });
		}
		await writeFile(join(folder, "changed.json"), pretty.replace("payments", "payment5"));
		const changed = await verify("changed.json", ...keys);
		expect(changed.code).toBe(1);
		expect(changed.text).toContain("changed: what is told of the record");
	});

	it("names a record that was changed, and fails", async () => {
		const text = await readFile(join(folder, kept, "audit.ndjson"), "utf8");
		await writeFile(
			join(folder, "changed.ndjson"),
			text.replace('"outcome":"ok"', '"outcome":"no"'),
		);
		const changed = await verify("changed.ndjson", ...keys);
		expect(changed.code).toBe(1);
		expect(changed.text).toMatch(/changed \(line 2\): record 1, [0-9a-f-]{36}/);
	});

	it("names a first line that was changed, and line ends, for what they are", async () => {
		const text = await readFile(join(folder, kept, "audit.ndjson"), "utf8");
		await writeFile(join(folder, "first.ndjson"), text.replace('"action":null', '"action":"sign"'));
		const first = await verify("first.ndjson", ...keys);
		expect(first.code).toBe(1);
		expect(first.text).toMatch(
			/changed \(line 2\): record 1, [0-9a-f-]{36}, or the first line of the export\n.*1 finding in/,
		);
		await writeFile(join(folder, "returns.ndjson"), text.replaceAll("\n", "\r\n"));
		const returns = await verify("returns.ndjson", ...keys);
		expect(returns.code).toBe(1);
		expect(returns.text).toMatch(
			/changed \(line 1\): .*line ends were changed.*\n.*1 finding in 2/,
		);
	});

	it("counts findings that are too many to be told", async () => {
		const text = await readFile(join(folder, kept, "audit.ndjson"), "utf8");
		await writeFile(join(folder, "many.ndjson"), text + "{\n".repeat(1_500));
		const { code, text: told } = await verify("many.ndjson", ...keys);
		expect(code).toBe(1);
		expect(told.match(/^unreadable/gm)).toHaveLength(100);
		expect(told).toContain("1500 findings in 2 records, of which the first 100 are told");
	});

	it("fails for an export that ends before a checkpoint that was kept", async () => {
		await stack.call("POST", "/v1/keys/payments/sign", { message: "aGVsbG8=" });
		const checkpoint = await stack.call("GET", "/v1/audit/checkpoint");
		await writeFile(join(folder, "later.json"), JSON.stringify(checkpoint));
		const older = await verify(`${kept}/audit.ndjson`, ...keys, "--since", "later.json");
		expect(older.code).toBe(1);
		expect(older.text).toContain("missing: number 3 of the chain");
	});

	it("fails for a proof that does not come by the checkpoint that was kept, though it holds", async () => {
		expect(await verify("proof.json", ...keys)).toMatchObject({ code: 0 });
		const elsewhere = await verify("proof.json", ...keys, "--since", "later.json");
		expect(elsewhere.code).toBe(1);
		expect(elsewhere.text).toContain("the links of this proof do not come by later.json");
	});

	it("names the tenant and the filter of a part", async () => {
		const from = `${stack.url}/v1/audit/export?action=sign&key=payments`;
		const { code, text } = await verify(from, ...keys, "--since", "later.json");
		expect({ code, text }).toMatchObject({ code: 0 });
		expect(text).toMatch(
			/^2 records in 1 chain of the tenant \w+ hold: a part, by its filter key=payments action=sign,/,
		);
	});

	it("reads names with every character that a name may have", async () => {
		const name = "\uFEFFline\u2028paragraph\u2029 end";
		await stack.call("POST", "/v1/tokens", { name, role: "auditor" });
		const { code, text } = await verify(`${stack.url}/v1/audit/export`, ...keys);
		expect({ code, text }).toMatchObject({ code: 0, text: expect.stringContaining("4 records") });
	});

	const rsa = { kty: "RSA", kid: "a", n: "AQAB", e: "AQAB" };
	const short = { kty: "OKP", crv: "Ed25519", kid: "a", x: "AQAB" };
	it.each([
		["no JSON", "since", "{"],
		["null", "since", "null"],
		["a number for a statement", "since", '{"signed":5}'],
		["no JSON", "keys", "{"],
		["null", "keys", "null"],
		["keys that are no list", "keys", '{"keys":{"length":1}}'],
		["null for a key", "keys", '{"keys":[null]}'],
		["a key of another kind", "keys", JSON.stringify({ keys: [rsa] })],
		["a key that is too short", "keys", JSON.stringify({ keys: [short] })],
	])("says in one line that %s is nothing to go by as --%s", async (_, flag, text) => {
		await writeFile(join(folder, "bad.json"), text);
		const good = flag === "keys" ? [] : keys;
		const refused = await verify(`${kept}/audit.ndjson`, ...good, `--${flag}`, "bad.json");
		expect(refused.code).toBe(2);
		expect(refused.text).toMatch(/^edgesign: bad\.json [^\n]+\n$/);
	});

	it("takes several sets of keys, where they have changed", async () => {
		const x = Buffer.alloc(32, 9).toString("base64url");
		const other = { keys: [{ kty: "OKP", crv: "Ed25519", kid: "other", x }] };
		await writeFile(join(folder, "other.json"), JSON.stringify(other));
		const file = `${kept}/audit.ndjson`;
		const other1 = await verify(file, "--keys", "other.json");
		expect(other1.code).toBe(1);
		const { keys: own } = JSON.parse(await readFile(join(folder, kept, "keys.json"), "utf8"));
		expect(other1.text).toContain(`hint: statements name the key ${own[0].kid},`);
		for (const both of [
			[...keys, "--keys", "other.json"],
			["--keys", "other.json", ...keys],
		]) {
			const holds = await verify(file, ...both, "--since", `${kept}/checkpoint.json`);
			expect(holds).toMatchObject({ code: 0 });
		}
	});

	it("finds what is wrong with a first line that has no checkpoint", async () => {
		const header = { export: { format: 1, id: "a", filter: {}, checkpoint: 5 } };
		await writeFile(join(folder, "bare.ndjson"), `${JSON.stringify(header)}\n`);
		const { code, text } = await verify("bare.ndjson", ...keys);
		expect(code).toBe(1);
		expect(text).toContain("unreadable (line 1)");
		expect(text).toContain("2 findings in 0 records: the first line is none of an export");
	});

	it("checks a checkpoint alone, and what it says beside its statement", async () => {
		const file = `${kept}/checkpoint.json`;
		expect(await verify(file, ...keys)).toMatchObject({
			code: 0,
			text: expect.stringMatching(
				/^The checkpoint of the tenant main of \S+ holds: 1 chain, \d+ records\.\n$/,
			),
		});
		const found = JSON.parse(await readFile(join(folder, file), "utf8"));
		found.checkpoint.chains[0].sequence++;
		await writeFile(join(folder, "shown.json"), JSON.stringify(found));
		expect(await verify("shown.json", ...keys)).toMatchObject({
			code: 1,
			text: expect.stringContaining("is not what was signed"),
		});
		// A reader that takes the first of two names would see another checkpoint; and nobody has signed more members.
		const forged = JSON.stringify(found.checkpoint);
		const good = await readFile(join(folder, file), "utf8");
		for (const text of [
			good.replace("{", `{"checkpoint":${forged},`),
			good.replace('"checkpoint":{', '"checkpoint":{"tenant":"evil",'),
			good.replace(/}\s*$/, ',"chains":[]}'),
		]) {
			await writeFile(join(folder, "twice.json"), text);
			expect(await verify("twice.json", ...keys)).toMatchObject({ code: 1 });
		}
		const kid = Buffer.from('{"alg":"EdDSA","typ":"x","kid":"\\u001b[2Jholds"}').toString(
			"base64url",
		);
		await writeFile(
			join(folder, "kid.json"),
			JSON.stringify({ checkpoint: {}, signed: `${kid}.e30.AA` }),
		);
		const strange = await verify("kid.json", ...keys);
		expect(strange.code).toBe(1);
		expect(strange.text).toContain("the key ?[2Jholds,");
		found.signed = `${found.signed.slice(0, -4)}AAAA`;
		await writeFile(join(folder, "forged.json"), JSON.stringify(found));
		expect(await verify("forged.json", ...keys)).toMatchObject({ code: 1 });
		expect(await verify(file, ...keys, "--since", file)).toMatchObject({ code: 2 });
	});

	it("reads an export from standard input, and a checkpoint from a URL", async () => {
		const since = ["--since", `${stack.url}/v1/audit/checkpoint`];
		const found = await verify(`${kept}/audit.ndjson`, ...keys, ...since);
		expect(found.text).toContain("missing"); // what was signed since then
		const piped = promisify(execFile)(
			"sh",
			["-c", `cat ${kept}/audit.ndjson | '${process.execPath}' '${command}' - ${keys.join(" ")}`],
			{ cwd: folder },
		);
		expect((await piped).stdout).toContain("2 records in 1 chain of the tenant main hold");
	});

	it("tells of a byte order mark, and checks the rest without it", async () => {
		const text = await readFile(join(folder, kept, "audit.ndjson"), "utf8");
		await writeFile(join(folder, "marked.ndjson"), `\uFEFF${text}`);
		const marked = await verify("marked.ndjson", ...keys);
		expect(marked.text).toMatch(/^changed \(line 1\): a byte order mark/);
		expect(marked.text).toContain("edgesign: 1 finding in 2 records: this is not what");
	});

	it("says what it needs", async () => {
		expect(await verify(`${kept}/audit.ndjson`)).toMatchObject({ code: 2 });
		expect(await verify("nothing.ndjson", ...keys)).toMatchObject({ code: 2 });
		expect(await verify(`${kept}/audit.ndjson`, ...keys, "--sinse", "x")).toMatchObject({
			code: 2,
		});
	});
});

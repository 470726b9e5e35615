import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultConfig } from "../../src/config/schema.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

const guide = readFileSync(join(import.meta.dirname, "../../docs/guides/configuration.md"), "utf8");

/** Every field with its default, as the guide writes them; a quota is one value. */
function fieldsOf(value: unknown, path = ""): [string, string][] {
	if (value === null) return [[path, "none (`null`)"]];
	if (typeof value !== "object") return [[path, `\`${JSON.stringify(value)}\``]];
	if ("quota" in value && "window_seconds" in value) {
		return [[path, `${value.quota} in ${value.window_seconds} s`]];
	}
	return Object.entries(value).flatMap(([name, inner]) =>
		fieldsOf(inner, path === "" ? name : `${path}.${name}`),
	);
}

describe("the guide to the configuration", () => {
	it("lists every field with its default, and no other", () => {
		const rows = [...guide.matchAll(/^\| `(\w+_config[\w.]+)` +\| (.+?) +\|/gm)];
		expect(rows.map(([, name, value]) => [name, value]).sort()).toEqual(
			fieldsOf(defaultConfig).sort(),
		);
	});
});

describe("the commands of the guide to the configuration", () => {
	let folder: string;
	let stack: TestStack;
	beforeAll(async () => {
		folder = await mkdtemp(join(tmpdir(), "edgesign-guide-"));
		stack = await startTestStack({ dataDir: join(folder, ".data") });
	});
	afterAll(async () => {
		await stack?.stop();
		await rm(folder, { recursive: true, force: true });
	});

	it("do what it says when they are pasted one after the other", async () => {
		const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text);
		const script = blocks.join("\n").replace("http://127.0.0.1:8787", stack.url);
		expect(script).toContain(stack.url);
		const run = promisify(execFile)("sh", ["-euc", script], { cwd: folder });
		const answers = (await run).stdout.trim().split("\n");
		const [before, changed, versions, first, back, token, ...rest] = answers.map((line) =>
			JSON.parse(line),
		);
		expect(rest).toEqual([]);
		const nothing = { createdAt: null, createdBy: null, note: null };
		expect(before).toEqual({ version: 0, config: defaultConfig, ...nothing });
		expect(changed).toMatchObject({ version: 1, note: "Signers at most 600 a minute" });
		expect(changed.config.limits_config.roles.signer.quota).toBe(600);
		expect(versions.versions).toMatchObject([{ version: 1, createdBy: changed.createdBy }]);
		expect(first).toEqual(changed);
		expect(back).toMatchObject({ version: 2, config: defaultConfig });
		expect(token).toMatchObject({ rateLimit: { quota: 100, windowSeconds: 1 } });
	});
});

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fillDataDir } from "../support/node/data-dir.ts";
import { project } from "../support/node/processes.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

const guide = readFileSync(join(project, "docs/guides/sign.md"), "utf8");

let folder: string;
let stack: TestStack;
beforeAll(async () => {
	// Inside of the project, where a script finds jose and viem.
	const cache = join(project, "node_modules", ".cache");
	await mkdir(cache, { recursive: true });
	folder = await mkdtemp(join(cache, "guide-"));
	await fillDataDir(join(folder, ".data"));
	stack = await startTestStack({ dataDir: join(folder, ".data") });
});
afterAll(async () => {
	await stack?.stop();
	await rm(folder, { recursive: true, force: true });
});

it("the guide to signing does what it says when it is pasted from its first block to its last", async () => {
	const blocks = guide.matchAll(/(?:^`([\w-]+\.mjs)`[^\n]*:\n\n)?^```(sh|js)\n(.*?)^```$/gms);
	const steps: string[] = [];
	for (const [, file, language, text = ""] of blocks) {
		if (language === "sh") steps.push(text.replace("http://127.0.0.1:8787", stack.url));
		else {
			expect(file).toBeDefined();
			await writeFile(join(folder, file ?? ""), text);
			steps.push(`'${process.execPath}' ${file}\n`);
		}
	}
	const script = steps.join("").replace("\nnode -e", `\n'${process.execPath}' -e`);
	const run = promisify(execFile)("sh", ["-euc", script], { cwd: folder });
	const { stdout } = await run;
	const lines = stdout.split("\n");
	expect(stdout).toContain('"name":"wallet"');
	for (const said of ["user-1", "from the sender", "as it was released", "true"]) {
		expect(lines.some((line) => line.endsWith(said))).toBe(true);
	}
	const batch = JSON.parse(lines.findLast((line) => line.includes('"results"')) ?? "");
	expect(batch.results).toMatchObject([
		{ reference: "a" },
		{ reference: "b", error: { code: "invalid_base64" } },
	]);
});

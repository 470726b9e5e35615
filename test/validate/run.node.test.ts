import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { project, runCommand } from "../support/node/processes.ts";

let folder: string;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-validate-test-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function validate(...args: string[]) {
	const json = join(folder, "validation.json");
	const program = join(project, "validate", "run.ts");
	const command = runCommand(process.execPath, [program, ...args, "--json", json]);
	const code = await command.ended;
	const report = code === 0 || command.stderr() === "" ? await readFile(json, "utf8") : "null";
	return { code, stderr: command.stderr(), stdout: command.stdout(), report: JSON.parse(report) };
}

test("the figures of a run are judged: a missed one ends with 1, with its line in table and JSON", async () => {
	const bench = join(folder, "bench.json");
	const figure = { unit: "records/s", samples: 5 };
	const figures = [{ id: "audit/move", value: 40_000, ...figure }];
	await writeFile(bench, JSON.stringify({ version: 1, figures }));
	const { code, stdout, report } = await validate("--bench", bench, "--only", "to Postgres");
	expect(code).toBe(1);
	expect(stdout).toMatch(/^issue 5 .* above 50,000 records\/s +40,000 +missed +audit\/move$/m);
	expect(report).toMatchObject({
		passed: false,
		targets: [{ row: "issue 5", value: 40_000, verdict: "missed" }],
	});
});

test("where the JSON can not go is told before anything is measured", async () => {
	const bench = join(folder, "empty.json");
	await writeFile(bench, JSON.stringify({ version: 1, figures: [] }));
	const args = ["--bench", bench, "--only", "to Postgres", "--json", join(bench, "out.json")];
	const command = runCommand(process.execPath, [join(project, "validate", "run.ts"), ...args]);
	expect(await command.ended).toBe(1);
	expect(command.stderr()).toMatch(
		/^edgesign: \S+out\.json can not be written: E[A-Z]+: [^\n]+\n$/,
	);
	expect(command.stdout()).toBe("");
});

test("what it can not work with is told in a line", async () => {
	const missing = await validate("--only", "S6", "--bench", join(folder, "nothing.json"));
	expect(missing).toMatchObject({
		code: 1,
		stderr: expect.stringMatching(/^edgesign: .*nothing\.json can not be read: ENOENT[^\n]*\n$/),
	});
	expect((await validate("--only", "X9")).stderr).toBe(
		'edgesign: no target has a row or a text like "X9"\n',
	);
	expect((await validate("--only", "[")).stderr).toMatch(/^edgesign: --only must be a regular/);
});

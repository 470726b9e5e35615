import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readOptions } from "../../bench/options.ts";
import { checkWritable, writeReport } from "../../bench/report-file.ts";
import { project, runCommand } from "../support/node/processes.ts";

let folder: string;
let file: string;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-bench-test-"));
	file = join(folder, "file");
	await writeFile(file, "");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("where the figures go", () => {
	test("is looked at before anything is measured, and told in a line", async () => {
		const json = join(file, "figures.json");
		const args = [join(project, "bench/run.ts"), "--only", "cache/cost", "--json", json];
		const command = runCommand(process.execPath, args);
		expect(await command.ended).toBe(1);
		expect(command.stderr()).toMatch(
			/^edgesign: \S+figures\.json can not be written: E[A-Z]+: [^\n]+\n$/,
		);
		expect(command.stdout()).toBe("");
	});

	test("is made where it is not there, without the file, whose contents are left alone", async () => {
		const deep = join(folder, "deep", "er");
		await checkWritable(join(deep, "figures.json"));
		expect(await readdir(deep)).toEqual([]);
		await checkWritable(file);
	});

	test("is no folder, neither before nor after", async () => {
		await expect(checkWritable(folder)).rejects.toThrow("can not be written: EISDIR");
		await expect(writeReport(folder, {})).rejects.toThrow("can not be written: EISDIR");
	});
});

describe("flags", () => {
	test.each(["--rounds", "--percent", "--seconds", "--rows"])("%s is refused empty", (flag) => {
		expect(() => readOptions([flag, ""])).toThrow(`${flag} must be a whole number`);
	});

	test("--json is a path even when it is empty: the folder, which is no file", () => {
		expect(readOptions(["--json", ""]).file).toBe(process.env.INIT_CWD ?? process.cwd());
		expect(readOptions([]).file).toBeNull();
	});
});

import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { ProfileReport } from "../../profile/report.ts";
import { readOptions } from "../../profile/run.ts";
import { leftoversOf, project, runCommand } from "../support/node/processes.ts";

test("a profile of the sign request: the phases, the heaviest functions, and the files to open", {
	timeout: 120_000,
}, async () => {
	const out = await mkdtemp(join(tmpdir(), "edgesign-profile-test-"));
	onTestFinished(() => rm(out, { recursive: true, force: true }));
	const program = join(project, "profile", "run.ts");
	const args = ["sign", "--seconds", "2", "--users", "4", "--out", out];
	const command = runCommand(process.execPath, [program, ...args]);
	const ended = await command.ended;
	// Each half minute, on a busy machine, it says what it is at.
	expect(command.stderr()).not.toMatch(/edgesign|error/i);
	expect(ended).toBe(0);
	expect(command.stdout()).toMatch(/^sign +\d/m);
	const report = JSON.parse(readFileSync(join(out, "report.json"), "utf8")) as ProfileReport;
	expect(report.requests).toBeGreaterThan(0);
	const shares = Object.fromEntries(report.phases.map(({ name, share }) => [name, share]));
	for (const phase of ["sign", "read the input", "audit: the object", "answer"]) {
		expect(shares[phase], phase).toBeGreaterThan(0);
	}
	expect(shares["not attributed"]).toBeLessThan(0.1);
	const sum = report.phases.reduce((total, { share }) => total + share, 0);
	expect(sum).toBeCloseTo(1, 6);
	expect(report.functions).toHaveLength(10);
	// Names are those of the sources, through the bundle.
	expect(report.functions.some(({ file }) => file.startsWith("src/"))).toBe(true);
	expect(existsSync(join(out, "flame.html"))).toBe(true);
	const { nodes, samples } = JSON.parse(readFileSync(join(out, "cpu.cpuprofile"), "utf8"));
	expect(nodes.length).toBeGreaterThan(50);
	expect(samples).toHaveLength(report.samples);
	const { snapshot } = JSON.parse(readFileSync(join(out, "heap.heapsnapshot"), "utf8"));
	expect(snapshot.node_count).toBeGreaterThan(1000);
	expect(await leftoversOf(command.tag)).toEqual([]);
});

test.each([
	[["nothing"], /^one scenario is profiled, of sign, .*; not "nothing"$/],
	[["sign", "sign"], /^one scenario is profiled, .*; not "sign sign"$/],
	[["--seconds", "0"], /^--seconds must be a whole number from 1 to 300, not "0"$/],
	[["--interval", "x"], /^--interval must be a whole number from 50 to 10000, not "x"$/],
	[["--fast"], /^Unknown option '--fast'/],
])("%j is refused", (args, message) => {
	expect(() => readOptions(args)).toThrow(message);
});
